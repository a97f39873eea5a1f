#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ctl/check_facts.h"
#include "ctl/human.h"

#define DAY 86400

static const char *const severities[] = {"error", "warning", "note", "ok"};

void check_say(struct check_findings *findings, enum severity severity, const char *topic,
        const char *remedy, const char *format, ...)
{
        json_object *finding = json_object_new_object();
        char text[1024];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        if (!findings->list)
                findings->list = json_object_new_array();
        findings->errors += severity == SEVERITY_ERROR;
        findings->warnings += severity == SEVERITY_WARNING;
        if (!finding || !findings->list || json_object_array_add(findings->list, finding) < 0) {
                json_object_put(finding);
                findings->failed = true;
                return;
        }
        json_object_object_add(finding, "Severity", json_object_new_string(severities[severity]));
        json_object_object_add(finding, "Topic", json_object_new_string(topic));
        json_object_object_add(finding, "Text", json_object_new_string(text));
        json_object_object_add(finding, "Remedy", json_object_new_string(remedy));
}

static void judge_routing(const struct check_facts *facts, struct check_findings *f)
{
        const struct cilium_config *cilium = &facts->cilium;

        if (facts->tunnel_link ||
                (cilium->routing_mode && strcmp(cilium->routing_mode, "native") != 0))
                check_say(f, SEVERITY_ERROR, "Cilium",
                        "helm upgrade cilium … --set routingMode=native",
                        "routing mode %s: what pods send is in a tunnel between nodes, which would "
                        "be encrypted twice, or not at all",
                        cilium->routing_mode ? cilium->routing_mode : "tunnel");
        else if (cilium->routing_mode)
                check_say(f, SEVERITY_OK, "Cilium", "", "routing mode native");
        else
                check_say(f, SEVERITY_NOTE, "Cilium",
                        "kubectl -n kube-system get configmap cilium-config -o yaml | grep "
                        "routing-mode",
                        "the host does not show its routing mode (there is no tunnel's link)");
        if (cilium->node_encryption == YES)
                check_say(f, SEVERITY_WARNING, "Cilium",
                        "helm upgrade cilium … --set encryption.nodeEncryption=false",
                        "its own node encryption is on: it leaves control planes out, is being "
                        "removed, and encrypts twice what nodecryptor steers");
        if (cilium->wireguard == NO)
                check_say(f, SEVERITY_ERROR, "Cilium",
                        "helm upgrade cilium … --set encryption.enabled=true --set "
                        "encryption.type=wireguard",
                        "WireGuard is off: there is nothing to steer into");
        if (cilium->legacy_routing == NO && facts->settings->noop_route.address.family == 0)
                check_say(f, SEVERITY_NOTE, "Cilium",
                        "up to Cilium 1.18 on a node with one device: noop_route in the "
                        "configuration, or --set bpf.hostLegacyRouting=true",
                        "BPF host routing is on: up to 1.18 it may pass the kernel's rules by");
        if (cilium->ipam &&
                (strcmp(cilium->ipam, "eni") == 0 || strcmp(cilium->ipam, "azure") == 0))
                check_say(f, SEVERITY_WARNING, "Cilium", "nodecryptorctl audit",
                        "IPAM %s: its rules for what pods send come before ours", cilium->ipam);
}

static void judge_cilium(const struct check_facts *facts, struct check_findings *f)
{
        if (!facts->cilium_runs)
                check_say(f, SEVERITY_WARNING, "Cilium",
                        "kubectl -n kube-system get pods -l k8s-app=cilium -o wide",
                        "its agent does not run here");
        if (!facts->cilium.read)
                check_say(f, SEVERITY_NOTE, "Cilium", "",
                        "its settings cannot be read in /var/run/cilium/state");
        judge_routing(facts, f);
}

static void judge_device(const struct check_facts *facts, struct check_findings *f)
{
        const char *name = facts->settings->interface;
        const struct link *device = &facts->device;

        if (device->ifindex == 0)
                check_say(f, SEVERITY_ERROR, "Device",
                        "helm upgrade cilium … --set encryption.enabled=true --set "
                        "encryption.type=wireguard",
                        "there is no %s: enforcing would refuse all that is steered", name);
        else if (!link_encrypts(device))
                check_say(f, SEVERITY_ERROR, "Device", "interface in the configuration",
                        "%s is no WireGuard device but \"%s\"", name, device->kind);
        else if (!device->up)
                check_say(f, SEVERITY_ERROR, "Device", "ip link set cilium_wg0 up",
                        "%s is down: enforcing would refuse all that is steered", name);
        else
                check_say(f, SEVERITY_OK, "Device", "", "%s is up, MTU %u", name, device->mtu);
        if (device->ifindex != 0 && facts->mark == 0)
                check_say(f, SEVERITY_NOTE, "Device", "wg show cilium_wg0 fwmark",
                        "its mark cannot be read: %#x is assumed, Cilium's since 1.18", 0xe00u);
}

static void judge_rp_filter(const struct check_facts *facts, struct check_findings *f)
{
        if (facts->strict_links)
                check_say(f, SEVERITY_ERROR, "rp_filter",
                        "sysctl -w net.ipv4.conf.all.rp_filter=0, and =0 for each of the links; "
                        "and in a file of /etc/sysctl.d",
                        "strict on %s: packets of WireGuard that come in there are dropped",
                        facts->strict_links);
        else
                check_say(f, SEVERITY_OK, "rp_filter", "", "%s",
                        facts->loose ? "loose: nodecryptor adds the link lo-nodecryptor" : "off");
}

static void judge_networkd(const struct check_facts *facts, struct check_findings *f)
{
        if (!facts->networkd_runs)
                return;
        if (facts->networkd_rules == NO && facts->networkd_routes == NO)
                check_say(f, SEVERITY_OK, "networkd", "", "leaves others' rules and routes alone");
        else
                check_say(f, SEVERITY_WARNING, "networkd",
                        "printf '[Network]\\nManageForeignRoutingPolicyRules=no\\n"
                        "ManageForeignRoutes=no\\n' > "
                        "/etc/systemd/networkd.conf.d/50-nodecryptor.conf; systemctl restart "
                        "systemd-networkd",
                        "it takes others' %s away whenever it configures a link; ours are marked "
                        "as the kernel's, which it spares, those of others are not",
                        facts->networkd_rules == NO    ? "routes"
                        : facts->networkd_routes == NO ? "rules"
                                                       : "rules and routes");
}

static void judge_networkmanager(const struct check_facts *facts, struct check_findings *f)
{
        if (!facts->networkmanager_runs)
                return;
        if (facts->networkmanager_device == YES)
                check_say(f, SEVERITY_WARNING, "NetworkManager",
                        "printf '[keyfile]\\nunmanaged-devices=interface-name:cilium*;"
                        "interface-name:lxc*\\n' > "
                        "/etc/NetworkManager/conf.d/cilium.conf; nmcli general reload",
                        "it manages %s, and may take it down", facts->settings->interface);
        else
                check_say(f, SEVERITY_OK, "NetworkManager", "", "does not manage %s",
                        facts->settings->interface);
}

static void judge_ipv6(const struct check_facts *facts, struct check_findings *f)
{
        static const char *const names[] = {"all", "lo"};

        if (!facts->cluster_ipv6)
                return;
        for (size_t i = 0; i < ARRAY_SIZE(facts->ipv6_off); i++) {
                const char *name = i < ARRAY_SIZE(names) ? names[i] : facts->settings->interface;
                char remedy[128];

                snprintf(remedy, sizeof(remedy), "sysctl -w net.ipv6.conf.%s.disable_ipv6=0", name);
                if (facts->ipv6_off[i] == YES)
                        check_say(f, SEVERITY_ERROR, "IPv6", remedy,
                                "disable_ipv6 of %s is set, and the cluster has IPv6: %s", name,
                                i < ARRAY_SIZE(names) ? "no `unreachable` route can stand"
                                                      : "nothing of it can be encrypted");
        }
}

static void judge_certificate(const struct check_facts *facts, struct check_findings *f)
{
        const struct api_facts *api = &facts->api;
        char time[HUMAN_TEXT_MAX];

        if (api->expires == 0)
                return;
        human_time((uint64_t)api->expires, time);
        if (api->expires < facts->now)
                check_say(f, SEVERITY_ERROR, "API", "systemctl restart kubelet",
                        "the client certificate ended %s (or the clock is wrong)", time);
        else if (api->expires < facts->now + DAY)
                check_say(f, SEVERITY_WARNING, "API", "journalctl -u kubelet | grep -i rotat",
                        "the client certificate ends %s, and was not renewed", time);
}

static void judge_answer(const struct api_facts *api, struct check_findings *f)
{
        switch (api->status) {
        case 200: check_say(f, SEVERITY_OK, "API", "", "CiliumNodes can be listed"); break;
        case 401:
                check_say(f, SEVERITY_ERROR, "API", "systemctl restart kubelet",
                        "the API server does not take the credential of %s", api->kubeconfig);
                break;
        case 403:
                check_say(f, SEVERITY_ERROR, "API", "kubectl apply -f rbac.yaml",
                        "the credential may not list CiliumNodes");
                break;
        case 404:
                check_say(f, SEVERITY_ERROR, "API", "kubectl get crd ciliumnodes.cilium.io",
                        "the API server knows no CiliumNodes");
                break;
        default:
                check_say(f, SEVERITY_ERROR, "API", "kubectl get --raw /readyz?verbose",
                        "the API server answers %ld", api->status);
        }
}

static void judge_api(const struct check_facts *facts, struct check_findings *f)
{
        const struct api_facts *api = &facts->api;

        if (api->skips_verification)
                check_say(f, SEVERITY_WARNING, "API", "certificate-authority in the kubeconfig",
                        "%s has insecure-skip-tls-verify: anybody can play the API server",
                        api->kubeconfig);
        judge_certificate(facts, f);
        if (api->has_plugin)
                check_say(f, SEVERITY_NOTE, "API", "nodecryptorctl status",
                        "the credential comes from a plugin, which is not run here");
        else if (api->error)
                check_say(f, SEVERITY_ERROR, "API",
                        api->kubeconfig ? "" : "kubeconfig in the configuration", "%s", api->error);
        else
                judge_answer(api, f);
}

static void judge_clock(const struct check_facts *facts, struct check_findings *f)
{
        if (facts->clock_synchronised == NO)
                check_say(f, SEVERITY_WARNING, "Clock", "timedatectl set-ntp true",
                        "it is not synchronised: WireGuard takes no handshake that seems older "
                        "than the last, and certificates seem to have ended");
        else if (facts->clock_synchronised == YES)
                check_say(f, SEVERITY_OK, "Clock", "", "synchronised");
}

static void judge_others(const struct check_facts *facts, struct check_findings *f)
{
        if (facts->tailscale_runs)
                check_say(f,
                        facts->settings->priority_base >= 5210 ? SEVERITY_ERROR : SEVERITY_NOTE,
                        "Rules",
                        facts->settings->priority_base >= 5210 ? "priority_base = 200" : "",
                        "Tailscale runs: its rules at 5210 to 5270 come %s ours",
                        facts->settings->priority_base >= 5210 ? "before" : "behind");
        if (facts->calico_runs)
                check_say(f, SEVERITY_WARNING, "Rules", "",
                        "Calico runs as well: it looks after rules and routes of its own");
}

static int compare_severity(const void *a, const void *b)
{
        int places[2] = {0, 0};

        for (int i = 0; i < 2; i++) {
                json_object *finding = *(json_object *const *)(i ? b : a), *severity = NULL;

                json_object_object_get_ex(finding, "Severity", &severity);
                for (size_t j = 0; j < ARRAY_SIZE(severities); j++)
                        if (strcmp(json_object_get_string(severity), severities[j]) == 0)
                                places[i] = (int)j;
        }
        return places[0] - places[1];
}

void check_judge(const struct check_facts *facts, struct check_findings *findings)
{
        judge_cilium(facts, findings);
        judge_device(facts, findings);
        judge_rp_filter(facts, findings);
        check_judge_rules(facts, findings);
        judge_others(facts, findings);
        judge_networkd(facts, findings);
        judge_networkmanager(facts, findings);
        judge_ipv6(facts, findings);
        judge_api(facts, findings);
        judge_clock(facts, findings);
        if (!findings->failed)
                json_object_array_sort(findings->list, compare_severity);
}

void check_facts_deinit(struct check_facts *facts)
{
        free(facts->cilium.routing_mode);
        free(facts->cilium.ipam);
        free(facts->strict_links);
        fib_deinit(&facts->rules);
        fib_deinit(&facts->ours);
        free(facts->api.kubeconfig);
        free(facts->api.error);
        free(facts->api.node_name);
        *facts = (struct check_facts){};
}
