/*
 * nodecryptorctl plan: the policy for a list of nodes, as ip(8) commands. What the daemon would
 * write, in the order in which it would write it, made by the same functions.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "basics/log.h"
#include "config/config.h"
#include "ctl/flow_arguments.h"
#include "ctl/verbs.h"
#include "kernel/policy_commands.h"
#include "kube/node_list.h"
#include "policy/findings.h"

/* Any index serves: the commands name the device. */
#define PLAN_IFINDEX 1
#define PLAN_SINK    2

struct plan {
        const char *nodes_path;
        struct options options;
        struct settings *settings;
        struct cluster *cluster;
        struct endpoint endpoint;
        struct address local[FAMILY_MAX + 1];
        struct device device;
        size_t n_bad;
};

static const struct option long_options[] = {
        {"nodes", required_argument, NULL, 'N'},
        {"node-name", required_argument, NULL, 'n'},
        {"config", required_argument, NULL, 'c'},
        {"api-endpoint", required_argument, NULL, 'e'},
        {"mark", required_argument, NULL, 'm'},
        {"without-device", no_argument, NULL, 'w'},
        {"loose-rp-filter", no_argument, NULL, 'l'},
        {},
};

static int add_endpoint(struct plan *plan, const char *text)
{
        struct address address;
        uint16_t port;

        if (address_port_parse(text, &address, &port) < 0 || port == 0 ||
                (plan->endpoint.port != 0 && plan->endpoint.port != port)) {
                log_error("--api-endpoint %s: not an ADDRESS:PORT, or of another port", text);
                return -EINVAL;
        }
        plan->endpoint.port = port;
        return endpoint_add_address(&plan->endpoint, &address);
}

static int parse_arguments(struct plan *plan, int argc, char **argv)
{
        int option;

        optind = 1;
        while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
                int r = 0;

                switch (option) {
                case 'N': plan->nodes_path = optarg; break;
                case 'n': r = text_replace(&plan->options.node_name, optarg); break;
                case 'c': r = text_replace(&plan->options.config, optarg); break;
                case 'e': r = add_endpoint(plan, optarg); break;
                case 'm':
                        r = mark_parse(optarg, &plan->device.mark);
                        if (r < 0 || plan->device.mark == 0) {
                                log_error("--mark %s: not a mark", optarg);
                                return -EINVAL;
                        }
                        break;
                case 'w': plan->device.usable = false; break;
                case 'l': plan->device.sink = PLAN_SINK; break;
                default: return -EINVAL;
                }
                if (r < 0)
                        return r;
        }
        if (optind != argc || !plan->nodes_path || !plan->options.node_name) {
                log_error("plan needs --nodes FILE and --node-name NAME, and no other argument");
                return -EINVAL;
        }
        return 0;
}

static void on_bad_object(void *userdata, const char *name, const struct error *error)
{
        struct plan *plan = userdata;

        plan->n_bad++;
        log_warning("CiliumNode %s cannot be used and is left out: %s",
                name ? name : "(without a name)", error->text);
}

/* The host that the plan is for: it holds its own addresses, and has IPv6. */
static int imagine_host(struct plan *plan)
{
        const struct node *self = cluster_find(plan->cluster, plan->options.node_name);
        size_t n = 0;

        if (!self) {
                log_error(
                        "%s: there is no node %s in it", plan->nodes_path, plan->options.node_name);
                return -ENOENT;
        }
        if (address_parse("::1", &plan->local[n++]) < 0)
                return -EINVAL;
        for (int i = 0; i < FAMILY_MAX; i++)
                if (self->addresses[i].family != 0)
                        plan->local[n++] = self->addresses[i];
        qsort(plan->local, n, sizeof(plan->local[0]), address_compare_void);
        plan->device.local = plan->local;
        plan->device.n_local = n;
        return 0;
}

static int print_findings(const struct policy_input *input)
{
        struct findings findings = {};
        int r = policy_findings(input, &findings);

        for (size_t i = 0; r >= 0 && i < findings.n; i++) {
                struct text_builder text = {};
                _cleanup_free_ char *line = NULL;

                finding_format(&findings.items[i], &text);
                r = text_take(&text, &line);
                if (r >= 0)
                        log_warning("%s", line);
        }
        findings_deinit(&findings);
        return r;
}

static int print_plan(const struct plan *plan)
{
        const struct policy_input input = {
                .settings = plan->settings,
                .cluster = plan->cluster,
                .node_name = plan->options.node_name,
                .device = &plan->device,
                .endpoint = &plan->endpoint,
        };
        struct text_builder builder = {};
        _cleanup_free_ char *commands = NULL;
        int r = policy_commands(&input, &builder), taken = text_take(&builder, &commands);

        if (r >= 0)
                r = taken;
        if (r >= 0)
                r = print_findings(&input);
        if (r < 0)
                log_error("%s", strerror(-r));
        else
                fputs(commands, stdout);
        return r;
}

static int run(struct plan *plan, int argc, char **argv)
{
        struct error error = {};

        if (parse_arguments(plan, argc, argv) < 0)
                return EXIT_USAGE;
        if (config_load(&plan->options, &plan->settings, &error) < 0) {
                log_error("%s", error.text);
                return EXIT_CONFIGURATION;
        }
        if (node_list_load(plan->nodes_path, on_bad_object, plan, &plan->cluster, &error) < 0) {
                log_error("%s", error.text);
                return EXIT_FAILURE;
        }
        if (imagine_host(plan) < 0 || print_plan(plan) < 0 || fflush(stdout) != 0)
                return EXIT_FAILURE;
        return EXIT_SUCCESS;
}

int verb_plan(int argc, char **argv)
{
        struct plan plan = {
                .device = {.usable = true, .ifindex = PLAN_IFINDEX, .mark = DEFAULT_MARK},
        };
        int status;

        options_init(&plan.options);
        status = run(&plan, argc, argv);
        endpoint_deinit(&plan.endpoint);
        cluster_free(plan.cluster);
        settings_free(plan.settings);
        options_deinit(&plan.options);
        return status;
}
