/*
 * What the preflight makes of the host, of files of other programs, and of rules and routes.
 */
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "ctl/check_facts.h"
#include "ctl/check_read.h"
#include "ctl/status_json.h"
#include "policy/input.h"
#include "policy/shape.h"
#include "test.h"

#define NOW 1000000

static struct check_facts facts;
static struct settings *settings;

/* A host on which nothing is to be said but "ok". */
static void begin(void)
{
        struct layout layout;
        struct rule local = {
                .family = AF_INET, .action = FR_ACT_TO_TBL, .table = RT_TABLE_LOCAL, .priority = 0};
        struct rule ours;

        settings = settings_new();
        layout = policy_layout(settings);
        facts = (struct check_facts){
                .settings = settings,
                .cilium_runs = true,
                .cilium = {.read = true, .routing_mode = strdup("native"), .wireguard = YES},
                .device = {.name = "cilium_wg0", .kind = "wireguard", .ifindex = 7, .up = true},
                .mark = 0xe00,
                .api = {.kubeconfig = strdup("/k"), .status = 200, .expires = NOW + 400000},
                .clock_synchronised = YES,
                .now = NOW,
        };
        ours = rule_begin(&layout, AF_INET, LAYOUT_PODS);
        ours.table = layout_table(&layout, LAYOUT_TABLE_PODS);
        CHECK_INT(fib_add_rule(&facts.rules, &local), 0);
        CHECK_INT(fib_add_rule(&facts.rules, &ours), 0);
}

static void end(void)
{
        check_facts_deinit(&facts);
        settings_free(settings);
}

/* "severity|text|remedy" of the worst finding; the rest is counted. */
static void worst_is(const char *severity, const char *topic, const char *text, const char *remedy)
{
        struct check_findings findings = {};
        json_object *first;

        check_judge(&facts, &findings);
        CHECK(!findings.failed && json_object_array_length(findings.list) > 0);
        first = json_object_array_get_idx(findings.list, 0);
        CHECK_TEXT(status_text(first, "Severity"), severity);
        CHECK_TEXT(status_text(first, "Topic"), topic);
        CHECK_HAS(status_text(first, "Text"), text);
        CHECK_HAS(status_text(first, "Remedy"), remedy);
        CHECK_INT(findings.errors, strcmp(severity, "error") == 0);
        CHECK_INT(findings.warnings, strcmp(severity, "warning") == 0);
        json_object_put(findings.list);
        end();
        begin();
}

static void good(void)
{
        struct check_findings findings = {};

        begin();
        check_judge(&facts, &findings);
        for (size_t i = 0; i < json_object_array_length(findings.list); i++)
                CHECK_TEXT(
                        status_text(json_object_array_get_idx(findings.list, i), "Severity"), "ok");
        CHECK_INT(findings.errors + findings.warnings, 0);
        json_object_put(findings.list);
        end();
}

static void cilium(void)
{
        begin();
        facts.cilium_runs = false;
        worst_is("warning", "Cilium", "agent does not run", "kubectl");
        facts.tunnel_link = true;
        worst_is("error", "Cilium", "routing mode", "routingMode=native");
        memcpy(facts.cilium.routing_mode, "tunnel", 6);
        worst_is("error", "Cilium", "tunnel", "routingMode=native");
        facts.cilium.node_encryption = YES;
        worst_is("warning", "Cilium", "node encryption is on", "nodeEncryption=false");
        facts.cilium.wireguard = NO;
        worst_is("error", "Cilium", "WireGuard is off", "encryption.type=wireguard");
        facts.cilium.legacy_routing = NO;
        worst_is("note", "Cilium", "BPF host routing", "noop_route");
        facts.cilium.ipam = strdup("eni");
        worst_is("warning", "Cilium", "IPAM eni", "audit");
        end();
}

static void device(void)
{
        begin();
        facts.device.ifindex = 0;
        worst_is("error", "Device", "there is no cilium_wg0", "wireguard");
        facts.device.up = false;
        worst_is("error", "Device", "is down", "up");
        snprintf(facts.device.kind, sizeof(facts.device.kind), "vxlan");
        worst_is("error", "Device", "no WireGuard device", "interface");
        facts.mark = 0;
        worst_is("note", "Device", "mark", "wg show");
        end();
}

static void host(void)
{
        begin();
        facts.strict_links = strdup("eth0 eth1");
        worst_is("error", "rp_filter", "eth0 eth1", "sysctl");
        facts.networkd_runs = true;
        facts.networkd_rules = facts.networkd_routes = YES;
        worst_is("warning", "networkd", "rules and routes", "ManageForeignRoutes=no");
        facts.networkd_runs = true;
        facts.networkd_rules = NO;
        facts.networkd_routes = YES;
        worst_is("warning", "networkd", "others' routes", "ManageForeignRoutes=no");
        facts.networkd_runs = true;
        facts.networkd_rules = facts.networkd_routes = NO;
        worst_is("ok", "Cilium", "", "");
        facts.networkmanager_runs = true;
        facts.networkmanager_device = YES;
        worst_is("warning", "NetworkManager", "manages cilium_wg0", "unmanaged-devices");
        facts.ipv6_off[1] = YES;
        worst_is("ok", "Cilium", "", "");
        facts.ipv6_off[1] = YES;
        facts.cluster_ipv6 = true;
        worst_is("error", "IPv6", "disable_ipv6 of lo", "sysctl -w net.ipv6.conf.lo");
        facts.clock_synchronised = NO;
        worst_is("warning", "Clock", "not synchronised", "timedatectl");
        facts.tailscale_runs = true;
        worst_is("note", "Rules", "behind ours", "");
        facts.tailscale_runs = true;
        settings->priority_base = 6000;
        facts.rules.rules[1].priority += 5800;
        worst_is("error", "Rules", "before ours", "priority_base");
        end();
}

static void api(void)
{
        begin();
        facts.api.status = 403;
        worst_is("error", "API", "may not list", "rbac.yaml");
        facts.api.status = 401;
        worst_is("error", "API", "does not take", "kubelet");
        facts.api.status = 404;
        worst_is("error", "API", "no CiliumNodes", "crd");
        facts.api.status = 500;
        worst_is("error", "API", "500", "readyz");
        facts.api.error = strdup("connection refused");
        worst_is("error", "API", "connection refused", "");
        facts.api.expires = NOW - 1;
        worst_is("error", "API", "ended", "kubelet");
        facts.api.expires = NOW + 100;
        worst_is("warning", "API", "not renewed", "rotat");
        facts.api.has_plugin = true;
        worst_is("note", "API", "plugin", "status");
        facts.api.skips_verification = true;
        worst_is("warning", "API", "insecure-skip-tls-verify", "certificate-authority");
        end();
}

static void rule_is(struct rule rule, const char *severity, const char *text)
{
        rule.family = AF_INET;
        CHECK_INT(fib_add_rule(&facts.rules, &rule), 0);
        worst_is(severity, strcmp(severity, "ok") == 0 ? "Cilium" : "Rules", text, "");
}

static void rules(void)
{
        const struct rule to_main = {.action = FR_ACT_TO_TBL, .table = RT_TABLE_MAIN};
        struct rule rule = to_main;

        begin();
        rule.priority = 150;
        rule_is(rule, "warning", "comes before ours");
        rule.priority = 32766;
        rule_is(rule, "ok", "");
        rule.priority = 205;
        rule_is(rule, "error", "in our band");
        rule.priority = 209;
        rule_is(rule, "error", "in our band");
        rule.priority = 210;
        rule_is(rule, "ok", "");
        rule.priority = 110;
        rule_is(rule, "warning", "Cilium's (ENI, Azure)");
        rule.priority = 9;
        rule.table = 2004;
        rule_is(rule, "note", "proxy");
        rule.table = 2006;
        rule_is(rule, "warning", "is not known");
        rule.priority = 1;
        rule.table = 200;
        rule_is(rule, "error", "IPsec");
        rule.priority = 100;
        rule.table = RT_TABLE_LOCAL;
        rule_is(rule, "ok", "");
        rule.priority = 1000;
        rule.table = 51871;
        rule_is(rule, "error", "one of our tables");
        /* What cannot be read is one of ours as little. */
        rule = (struct rule){.priority = 203, .foreign = true};
        rule_is(rule, "error", "in our band");
        facts.rules.rules[0].priority = 300;
        worst_is("error", "Rules", "own addresses", "lookup local");
        end();
}

static void routes(void)
{
        struct route route = {.family = AF_INET, .type = RTN_UNICAST, .table = 51871, .oif = 3};

        begin();
        CHECK_INT(prefix_parse("10.0.0.1/32", &route.destination), 0);
        CHECK_INT(fib_add_route(&facts.ours, &route), 0);
        worst_is("error", "Rules", "10.0.0.1/32", "ip route del");
        route = (struct route){.family = AF_INET,
                .type = RTN_UNREACHABLE,
                .protocol = RTPROT_KERNEL,
                .table = 51871,
                .metric = TWIN_METRIC,
                .destination = route.destination};
        CHECK_INT(fib_add_route(&facts.ours, &route), 0);
        worst_is("ok", "Cilium", "", "");
        end();
}

static void cilium_settings(void)
{
        static const char text[] = "{\"RoutingMode\":\"native\",\"EncryptNode\":true,\"Other\":[1],"
                                   "\"UnsafeDaemonConfigOption\":{\"EnableHostLegacyRouting\":"
                                   "false},\"IPAM\":7}";
        struct cilium_config config = {};

        CHECK_INT(cilium_config_parse(text, sizeof(text) - 1, &config), 0);
        CHECK(config.read);
        CHECK_TEXT(config.routing_mode, "native");
        CHECK_INT(config.node_encryption, YES);
        CHECK_INT(config.legacy_routing, NO);
        CHECK_INT(config.wireguard, UNKNOWN);
        CHECK(!config.ipam);
        free(config.routing_mode);
        config = (struct cilium_config){};
        CHECK_INT(cilium_config_parse("[]", 2, &config), -EBADMSG);
        CHECK_INT(cilium_config_parse("{", 1, &config), -EBADMSG);
        CHECK(!config.read);
}

static void networkd_is(const char *text, enum known rules, enum known routes)
{
        struct check_facts seen = {.networkd_rules = YES, .networkd_routes = YES};

        networkd_config_apply(text, &seen);
        CHECK_INT(seen.networkd_rules, rules);
        CHECK_INT(seen.networkd_routes, routes);
}

static void networkd_settings(void)
{
        networkd_is("", YES, YES);
        networkd_is("[Network]\nManageForeignRoutes=no\n", YES, NO);
        networkd_is("[Network]\n  ManageForeignRoutingPolicyRules = FALSE", NO, YES);
        networkd_is(
                "[DHCPv4]\nManageForeignRoutes=no\n[Network]\n#ManageForeignRoutes=no\n", YES, YES);
        networkd_is("[Network]\nManageForeignRoutes=no\nManageForeignRoutes=1\n", YES, YES);
        networkd_is("[Network]\nManageForeignRoutes=maybe\nManageForeignRoutes\n", YES, YES);
        networkd_is("[Network]\nManageForeignRoutesToo=no\n=no", YES, YES);
}

static void put_file(const char *root, const char *folder, const char *name, const char *text)
{
        char path[512];
        FILE *file;

        for (const char *slash = folder; slash; slash = strchr(slash + 1, '/')) {
                snprintf(path, sizeof(path), "%s%.*s", root, (int)(slash - folder), folder);
                (void)mkdir(path, 0700);
        }
        snprintf(path, sizeof(path), "%s%s", root, folder);
        (void)mkdir(path, 0700);
        snprintf(path, sizeof(path), "%s%s/%s", root, folder, name);
        file = fopen(path, "we");
        CHECK(file);
        CHECK(fputs(text, file) >= 0);
        CHECK_INT(fclose(file), 0);
}

/* Drop-ins by name, one of a name in the first place that has it; processes; what /proc says. */
static void files(void)
{
        char root[] = "/tmp/check.XXXXXX", command[64];
        struct check_facts seen = {.device = {.ifindex = 7}};

        CHECK(mkdtemp(root));
        begin();
        seen.settings = settings;
        put_file(root, "/etc/systemd", "networkd.conf", "[Network]\nManageForeignRoutes=no\n");
        put_file(root, "/usr/lib/systemd/networkd.conf.d", "50-a.conf",
                "[Network]\nManageForeignRoutingPolicyRules=no\nManageForeignRoutes=no\n");
        put_file(root, "/etc/systemd/networkd.conf.d", "60-b.conf",
                "[Network]\nManageForeignRoutes=yes\n");
        put_file(root, "/usr/lib/systemd/networkd.conf.d", "60-b.conf",
                "[Network]\nManageForeignRoutingPolicyRules=yes\n");
        put_file(root, "/etc/systemd/networkd.conf.d", "70-c.disabled",
                "[Network]\nManageForeignRoutes=no\n");
        put_file(root, "/run/NetworkManager/devices", "7", "[device]\nmanaged=true\n");
        put_file(root, "/var/run/cilium/state", "agent-runtime-config.json",
                "{\"RoutingMode\":\"native\"}");
        put_file(root, "/proc/12", "comm", "systemd-network\n");
        put_file(root, "/proc/13", "comm", "cilium-agent\n");
        put_file(root, "/proc/sys/net/ipv6/conf/lo", "disable_ipv6", "1\n");
        put_file(root, "/proc/sys/net/ipv6/conf/all", "disable_ipv6", "0\n");
        CHECK_INT(check_read_files(root, &seen), 0);
        CHECK_INT(seen.networkd_rules, NO);
        CHECK_INT(seen.networkd_routes, YES);
        CHECK(seen.networkd_runs && seen.cilium_runs && !seen.networkmanager_runs);
        CHECK_INT(seen.networkmanager_device, YES);
        CHECK_TEXT(seen.cilium.routing_mode, "native");
        CHECK_INT(seen.ipv6_off[0], NO);
        CHECK_INT(seen.ipv6_off[1], YES);
        CHECK_INT(seen.ipv6_off[2], UNKNOWN);
        check_facts_deinit(&seen);
        end();
        snprintf(command, sizeof(command), "rm -r %s", root);
        CHECK_INT(system(command), 0);
}

TEST_MAIN(TEST(good), TEST(cilium), TEST(device), TEST(host), TEST(api), TEST(rules), TEST(routes),
        TEST(cilium_settings), TEST(networkd_settings), TEST(files))
