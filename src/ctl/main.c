/*
 * nodecryptorctl(1): the policy and the daemon, from outside the daemon.
 */
#include <stdio.h>
#include <string.h>

#include "basics/log.h"
#include "basics/util.h"
#include "ctl/verbs.h"

static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
} verbs[] = {
        {"status", verb_status},
        {"peers", verb_peers},
        {"resync", verb_resync},
        {"observe", verb_observe},
        {"enforce", verb_enforce},
        {"plan", verb_plan},
        {"explain", verb_explain},
        {"audit", verb_audit},
        {"check", verb_check},
        {"wait", verb_wait},
        {"reload", verb_reload},
        {"flush", verb_flush},
};

static void print_help(FILE *stream)
{
        fputs("Usage: nodecryptorctl VERB [OPTION...]\n"
              "\n"
              "  status\n"
              "        What the daemon does now, and what to do about it.\n"
              "        --json                   every property, as org.nodecryptor1(5) has it\n"
              "        --config FILE            while the daemon is away: where its policy lies\n"
              "        --state-directory DIR    while it is away: where its snapshot is\n"
              "\n"
              "  peers\n"
              "        The other nodes, and what WireGuard does with what is steered to them.\n"
              "        --json\n"
              "\n"
              "  resync                         Read the kernel and the API again\n"
              "  observe                        Change nothing until the daemon ends\n"
              "  enforce                        Enforce until the daemon ends\n"
              "\n"
              "  plan [--nodes FILE --node-name NAME]\n"
              "        Print the daemon's policy as ip commands; or, without daemon or root, the\n"
              "        policy for FILE, which is what `kubectl get ciliumnodes -o json` writes.\n"
              "  plan --diff A B\n"
              "        What B has otherwise than A. Each is \"daemon\", \"snapshot\" (its nodes, "
              "with\n"
              "        the configuration), a file of nodes, or a plan that was printed.\n"
              "        --format ip|json\n"
              "        --config FILE            the configuration (default /etc/nodecryptor.conf)\n"
              "        --api-endpoint ADDR:PORT the kubeconfig's endpoint; may be given again\n"
              "        --mark MARK              the device's mark (default 0xe00)\n"
              "        --without-device         as it is while the device is away\n"
              "        --loose-rp-filter        as it is on a host whose rp_filter is 2\n"
              "        --state-directory DIR    where the snapshot is\n"
              "\n"
              "  explain DESTINATION[:PORT]\n"
              "        Which way the kernel sends that flow, and why. DESTINATION is an address\n"
              "        or a node's name; an IPv6 address with a port is written [ADDRESS]:PORT.\n"
              "        --from ADDRESS[:PORT]    its source; one that is not ours: a forwarded "
              "flow\n"
              "        --protocol P             tcp (default), udp, icmp\n"
              "        --mark MARK              the packet's mark\n"
              "        --netns NAME|PATH        it begins in that network namespace, a pod's say\n"
              "        --pid PID                the same: that of the process\n"
              "        --json\n"
              "        --config FILE            the configuration (default /etc/nodecryptor.conf)\n"
              "        --node-name NAME         our node's name, if not as the daemon found it\n"
              "        --state-directory DIR    where the daemon keeps its snapshot\n"
              "\n"
              "  audit\n"
              "        Ask the kernel about flows to every other node and its pods, and hold its\n"
              "        answers against the policy. The nodes are the daemon's; while it is away,\n"
              "        those of its snapshot.\n"
              "        --live SECONDS           look at the wire instead: count packets by class\n"
              "        --json\n"
              "        --config FILE, --node-name NAME, --state-directory DIR   as above\n"
              "\n"
              "  check\n"
              "        What is in the way of enforcing, on this host and in Cilium's settings, "
              "and\n"
              "        what helps.\n"
              "        --json\n"
              "        --kubeconfig FILE        the credential, if not where the daemon finds it\n"
              "        --config FILE, --state-directory DIR   as above\n"
              "\n"
              "  wait --enforcing\n"
              "        Until the kernel, read back, holds the policy: for what must not start "
              "before.\n"
              "        --timeout SECONDS        and fail then (default 60)\n"
              "        --runtime-directory DIR  where the daemon's state is\n"
              "\n"
              "  reload\n"
              "        Have the daemon read its configuration again, and say what came of it.\n"
              "        --timeout SECONDS        (default 25)\n"
              "        --runtime-directory DIR  as above\n"
              "\n"
              "  flush\n"
              "        Print what taking the policy out of the kernel deletes, as ip commands.\n"
              "        --yes                    do it: traffic between nodes is in clear then\n"
              "        --while-running          also while the daemon runs, which puts it back\n"
              "        --config FILE, --state-directory DIR, --runtime-directory DIR\n"
              "\n"
              "  --help, --version\n"
              "\n"
              "Exit status: 0 done (status: enforcing or observing, explain: kernel and policy\n"
              "agree, audit: nothing in clear that must not be, check: no error found), 1 not so,\n"
              "not so in time, or it failed, 2 wrong usage or configuration, 3 the daemon, or for\n"
              "audit and check what they need, cannot be asked.\n",
                stream);
}

int main(int argc, char **argv)
{
        log_init("nodecryptorctl");
        if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
                print_help(stdout);
                return EXIT_SUCCESS;
        }
        if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
                printf("nodecryptorctl %s\n", NODECRYPTOR_VERSION);
                return EXIT_SUCCESS;
        }
        for (size_t i = 0; argc >= 2 && i < ARRAY_SIZE(verbs); i++)
                if (strcmp(argv[1], verbs[i].name) == 0)
                        return verbs[i].run(argc - 1, argv + 1);
        if (argc >= 2)
                log_error("unknown verb \"%s\"", argv[1]);
        print_help(stderr);
        return EXIT_USAGE;
}
