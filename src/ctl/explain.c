/*
 * nodecryptorctl explain: the kernel's answer for one flow, the policy's, and whether they agree.
 */
#include <getopt.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "basics/log.h"
#include "config/config.h"
#include "ctl/flow_arguments.h"
#include "ctl/rule_walk.h"
#include "ctl/verbs.h"
#include "kernel/fib_read.h"
#include "kernel/link.h"
#include "kernel/netlink.h"
#include "kernel/route_query.h"
#include "kernel/sink_link.h"
#include "kernel/wireguard.h"
#include "policy/format.h"
#include "policy/verdict.h"
#include "store/snapshot.h"

/* What was asked, and everything read to answer it. */
struct question {
        const char *destination;
        const char *source;
        const char *protocol;
        const char *mark;
        struct options options;

        struct settings *settings;
        struct snapshot snapshot;
        struct netlink *nl;
        struct link link;
        struct link sink; /* index 0: there is none of ours */
        struct address *local;
        struct device device;
        struct flow flow;
        uint32_t iif; /* where a forwarded flow comes in */
};

static const struct option long_options[] = {
        {"from", required_argument, NULL, 'f'},
        {"protocol", required_argument, NULL, 'p'},
        {"mark", required_argument, NULL, 'm'},
        {"config", required_argument, NULL, 'c'},
        {"node-name", required_argument, NULL, 'n'},
        {"state-directory", required_argument, NULL, 's'},
        {},
};

static int parse_arguments(struct question *q, int argc, char **argv)
{
        int option;

        optind = 1;
        while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
                int r = 0;

                switch (option) {
                case 'f': q->source = optarg; break;
                case 'p': q->protocol = optarg; break;
                case 'm': q->mark = optarg; break;
                case 'c': r = text_replace(&q->options.config, optarg); break;
                case 'n': r = text_replace(&q->options.node_name, optarg); break;
                case 's': r = text_replace(&q->options.state_directory, optarg); break;
                default: return -EINVAL;
                }
                if (r < 0)
                        return r;
        }
        if (optind + 1 != argc) {
                log_error("explain takes one DESTINATION[:PORT]");
                return -EINVAL;
        }
        q->destination = argv[optind];
        return 0;
}

static int read_snapshot(struct question *q)
{
        _cleanup_free_ char *path = NULL;
        struct error error = {};
        int r;

        if (asprintf(&path, "%s/%s", q->settings->state_directory, SNAPSHOT_FILE) < 0)
                return -ENOMEM;
        r = snapshot_read(path, &q->snapshot, &error);
        if (r == -ENOENT) {
                q->snapshot.cluster = cluster_new();
                printf("note: no snapshot at %s: the policy's side knows no nodes\n", path);
                return q->snapshot.cluster ? 0 : -ENOMEM;
        }
        if (r < 0)
                log_error("%s", error.text);
        return r;
}

static void read_mark(struct question *q)
{
        struct wireguard wireguard;

        q->device.mark = DEFAULT_MARK;
        if (q->link.ifindex != 0 && wireguard_read(q->link.ifindex, &wireguard, NULL) >= 0 &&
                wireguard.fwmark != 0)
                q->device.mark = wireguard.fwmark;
}

static int read_kernel(struct question *q)
{
        struct error error = {};
        int r = netlink_new(NETLINK_ROUTE, &q->nl);

        if (r < 0) {
                log_error("rtnetlink: %s", strerror(-r));
                return r;
        }
        r = link_read(q->nl, q->settings->interface, &q->link, &error);
        if (r >= 0 || r == -ENODEV)
                r = own_link_read(q->nl, &sink_link, &q->sink, &error);
        if (r >= 0)
                r = addresses_read(q->nl, &q->local, &q->device.n_local, &error);
        if (r < 0) {
                log_error("%s", error.text);
                return r;
        }
        q->device.local = q->local;
        q->device.ifindex = q->link.ifindex;
        q->device.usable = q->link.up && link_encrypts(&q->link);
        read_mark(q);
        return 0;
}

/* An address, or the name of a node: its address of the source's family, else IPv4 first. */
static int resolve_destination(struct question *q, const char *host)
{
        const struct node *node;

        if (address_parse(host, &q->flow.destination) >= 0)
                return 0;
        node = cluster_find(q->snapshot.cluster, host);
        for (int i = 0; node && i < FAMILY_MAX; i++) {
                const struct address *address = &node->addresses[i];

                if (address->family == 0 ||
                        (q->flow.source.family != 0 && q->flow.source.family != address->family))
                        continue;
                q->flow.destination = *address;
                return 0;
        }
        log_error("%s is neither an address nor a node with one", host);
        return -EINVAL;
}

static int build_flow(struct question *q)
{
        _cleanup_free_ char *host = NULL;

        if (q->source && address_port_parse(q->source, &q->flow.source, &q->flow.source_port) < 0) {
                log_error("--from %s: not an address", q->source);
                return -EINVAL;
        }
        if (host_port_parse(q->destination, &host, &q->flow.destination_port) < 0) {
                log_error("%s: not a destination", q->destination);
                return -EINVAL;
        }
        if (resolve_destination(q, host) < 0)
                return -EINVAL;
        if (q->source && q->flow.source.family != q->flow.destination.family) {
                log_error("source and destination are of different families");
                return -EINVAL;
        }
        if (any_protocol_parse(q->protocol, q->flow.destination.family, &q->flow.ip_protocol) < 0) {
                log_error("--protocol %s: not a protocol", q->protocol);
                return -EINVAL;
        }
        if (q->mark && mark_parse(q->mark, &q->flow.mark) < 0) {
                log_error("--mark %s: not a mark", q->mark);
                return -EINVAL;
        }
        return 0;
}

/* A source that is not ours comes in where the kernel would answer it. */
static int find_way_in(struct question *q)
{
        struct flow back = {.destination = q->flow.source, .ip_protocol = q->flow.ip_protocol};
        struct route_answer answer;
        struct error error = {};
        int r;

        if (q->flow.source.family == 0 || device_has_local(&q->device, &q->flow.source))
                return 0;
        q->flow.forwarded = true;
        r = route_query(q->nl, &back, 0, &answer, &error);
        if (r >= 0 && answer.result < 0)
                r = error_set(&error, answer.result, "%s", strerror(-answer.result));
        if (r < 0) {
                log_error("no way back to the source %s: %s", q->source, error.text);
                return r;
        }
        q->iif = answer.oif;
        return 0;
}

static void print_flow(const struct question *q)
{
        char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX];

        printf("flow:    %s %s", q->flow.forwarded ? "forwarded" : "from this host",
                protocol_name(q->flow.ip_protocol));
        if (q->flow.source.family != 0)
                printf(" %s", address_format(&q->flow.source, source));
        if (q->flow.source_port != 0)
                printf(" port %u", q->flow.source_port);
        printf(" to %s", address_format(&q->flow.destination, destination));
        if (q->flow.destination_port != 0)
                printf(" port %u", q->flow.destination_port);
        if (q->flow.mark != 0)
                printf(" mark %#x", q->flow.mark);
        printf("\n");
}

static bool is_sunk(const struct question *q, const struct route_answer *answer)
{
        return answer->result == 0 && q->sink.ifindex != 0 && answer->oif == q->sink.ifindex;
}

static enum verdict_way kernel_way(const struct question *q, const struct route_answer *answer)
{
        if (answer->result < 0 || is_sunk(q, answer))
                return WAY_BLOCKED;
        return answer->oif == q->link.ifindex && q->link.ifindex != 0 ? WAY_DEVICE : WAY_MAIN;
}

static void print_kernel(const struct question *q, const struct route_answer *answer)
{
        char text[ADDRESS_TEXT_MAX];

        if (answer->result < 0) {
                printf("kernel:  BLOCKED (%s)\n", strerror(-answer->result));
        } else if (is_sunk(q, answer)) {
                printf("kernel:  BLOCKED, dropped by " SINK_LINK_NAME " (table %u)\n",
                        answer->table);
        } else {
                printf("kernel:  %s", answer->type == RTN_LOCAL ? "LOCAL, delivered on this host"
                                      : kernel_way(q, answer) == WAY_DEVICE ? "ENCRYPTED, out of"
                                                                            : "PLAIN, out of");
                if (answer->type != RTN_LOCAL)
                        printf(" %s", answer->interface);
                if (answer->gateway.family != 0)
                        printf(" via %s", address_format(&answer->gateway, text));
                if (answer->source.family != 0)
                        printf(" from %s", address_format(&answer->source, text));
                printf(" (table %u)\n", answer->table);
        }
}

static void print_rule(const char *word, const struct rule *rule)
{
        struct text_builder builder = {};

        if (!rule)
                return;
        rule_format(rule, &builder);
        printf("  %s  %s\n", word, builder.failed ? "?" : builder.text);
        text_deinit(&builder);
}

static void print_rules(const struct question *q, const struct route_answer *answer)
{
        const struct layout layout = policy_layout(q->settings);
        struct fib rules = {}, ours = {};

        if (kernel_rules_read(q->nl, q->flow.destination.family, &rules, NULL) >= 0 &&
                kernel_fib_read(q->nl, &layout, 1, &ours, NULL) >= 0) {
                struct rule_walk walk = rule_walk(&rules, &ours, &layout, &q->flow, answer);

                print_rule("past: ", walk.leading);
                print_rule("rule: ", walk.deciding);
        }
        fib_deinit(&rules);
        fib_deinit(&ours);
}

static void print_reason(const struct verdict *verdict, const struct endpoint *endpoint)
{
        const char *node = verdict->node ? verdict->node->name : "";
        char prefix[PREFIX_TEXT_MAX];

        prefix_format(&verdict->prefix, prefix);
        switch (verdict->reason) {
        case VERDICT_MARKED: printf("  why:   it carries the device's own mark\n"); break;
        case VERDICT_PODS: printf("  why:   %s is a pod prefix of node %s\n", prefix, node); break;
        case VERDICT_EXEMPT:
                if (!verdict->exemption)
                        printf("  why:   the kubeconfig's API endpoint, port %u%s\n",
                                endpoint->port, verdict->reply ? ", its reply" : "");
                else if (verdict->reply)
                        printf("  why:   exemption \"%s\" selects this node (%s), and this is a "
                               "reply\n",
                                verdict->exemption->name, node);
                else
                        printf("  why:   exemption \"%s\" selects node %s\n",
                                verdict->exemption->name, node);
                break;
        case VERDICT_NODES: printf("  why:   it is the address of node %s\n", node); break;
        case VERDICT_PROTECTED:
                printf("  why:   %s is protected, and no node is known there\n", prefix);
                break;
        case VERDICT_UNTOUCHED: printf("  why:   no other node's address or pod prefix\n"); break;
        }
}

static bool agree(
        const struct question *q, const struct verdict *verdict, const struct route_answer *answer)
{
        enum verdict_way way = kernel_way(q, answer);

        if (answer->result == 0 && answer->type == RTN_LOCAL)
                return true;
        /* What is left to the host's routing may be refused by it. */
        return way == verdict->way || (verdict->way == WAY_MAIN && way == WAY_BLOCKED);
}

static int answer(struct question *q)
{
        const struct policy_input input = {
                .settings = q->settings,
                .cluster = q->snapshot.cluster,
                .node_name =
                        q->settings->node_name ? q->settings->node_name : q->snapshot.node_name,
                .device = &q->device,
                .endpoint = &q->snapshot.endpoint,
        };
        struct verdict verdict = policy_verdict(&input, &q->flow);
        struct route_answer kernel;
        struct error error = {};
        int r = route_query(q->nl, &q->flow, q->iif, &kernel, &error);

        if (r < 0) {
                log_error("asking the kernel: %s", error.text);
                return EXIT_DISAGREE;
        }
        print_flow(q);
        print_kernel(q, &kernel);
        print_rules(q, &kernel);
        printf("policy:  %s\n", verdict_word(&verdict));
        print_reason(&verdict, &q->snapshot.endpoint);
        if (agree(q, &verdict, &kernel))
                return EXIT_AGREE;
        printf("DISAGREE: the kernel does not do what the policy says%s\n",
                q->settings->mode == MODE_OBSERVE ? " (mode = \"observe\": nothing is enforced)"
                                                  : "");
        return EXIT_DISAGREE;
}

static int run(struct question *q, int argc, char **argv)
{
        struct error error = {};

        if (parse_arguments(q, argc, argv) < 0)
                return EXIT_USAGE;
        if (config_load(&q->options, &q->settings, &error) < 0) {
                log_error("%s", error.text);
                return EXIT_CONFIGURATION;
        }
        if (read_snapshot(q) < 0 || read_kernel(q) < 0)
                return EXIT_DISAGREE;
        if (build_flow(q) < 0)
                return EXIT_USAGE;
        if (find_way_in(q) < 0)
                return EXIT_DISAGREE;
        return answer(q);
}

int verb_explain(int argc, char **argv)
{
        struct question q = {.protocol = "tcp"};
        int status;

        options_init(&q.options);
        status = run(&q, argc, argv);
        free(q.local);
        netlink_free(q.nl);
        snapshot_deinit(&q.snapshot);
        settings_free(q.settings);
        options_deinit(&q.options);
        return status;
}
