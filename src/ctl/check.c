/*
 * nodecryptorctl check: what of this host and of Cilium's settings is in the way of enforcing.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "basics/log.h"
#include "config/config.h"
#include "ctl/check_read.h"
#include "ctl/output.h"
#include "ctl/status_json.h"
#include "ctl/verbs.h"
#include "store/json.h"
#include "store/snapshot.h"

static const struct option long_options[] = {
        {"json", no_argument, NULL, 'j'},
        {"config", required_argument, NULL, 'c'},
        {"kubeconfig", required_argument, NULL, 'k'},
        {"state-directory", required_argument, NULL, 's'},
        {},
};

static int parse_arguments(struct options *options, bool *as_json, int argc, char **argv)
{
        int option, r = 0;

        optind = 1;
        while (r >= 0 && (option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
                switch (option) {
                case 'j': *as_json = true; break;
                case 'c': r = text_replace(&options->config, optarg); break;
                case 'k': r = text_replace(&options->kubeconfig, optarg); break;
                case 's': r = text_replace(&options->state_directory, optarg); break;
                default: return -EINVAL;
                }
        if (r >= 0 && optind != argc) {
                log_error("check takes no argument");
                r = -EINVAL;
        }
        return r;
}

static bool node_has_ipv6(const struct node *node)
{
        for (size_t i = 0; i < node->n_pod_prefixes; i++)
                if (node->pod_prefixes[i].address.family == AF_INET6)
                        return true;
        return node->addresses[FAMILY_INET6].family != 0;
}

/* Without a snapshot nothing is known of the cluster, and nothing said of IPv6. */
static void read_cluster(struct check_facts *facts)
{
        struct snapshot snapshot = {};
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/%s", facts->settings->state_directory, SNAPSHOT_FILE) < 0) {
                path = NULL;
                return;
        }
        if (snapshot_read(path, &snapshot, NULL) < 0)
                return;
        for (size_t i = 0; i < snapshot.cluster->n_nodes; i++)
                facts->cluster_ipv6 |= node_has_ipv6(snapshot.cluster->nodes[i]);
        snapshot_deinit(&snapshot);
}

static int print_table(json_object *list)
{
        static const struct table_column columns[] = {
                {.heading = ""}, {.heading = "TOPIC"}, {.heading = "FINDING", .wraps = true}};
        struct table table = {.columns = columns, .n_columns = ARRAY_SIZE(columns)};
        int r;

        for (size_t i = 0; i < json_object_array_length(list); i++) {
                json_object *finding = json_object_array_get_idx(list, i);
                const char *severity = status_text(finding, "Severity"),
                           *remedy = status_text(finding, "Remedy");

                table_add(&table,
                        strcmp(severity, "error") == 0     ? COLOUR_BAD
                        : strcmp(severity, "warning") == 0 ? COLOUR_WARNING
                        : strcmp(severity, "ok") == 0      ? COLOUR_GOOD
                                                           : COLOUR_DIM,
                        "%s", severity);
                table_add(&table, COLOUR_NONE, "%s", status_text(finding, "Topic"));
                table_add(&table, COLOUR_NONE, "%s%s%s", status_text(finding, "Text"),
                        *remedy ? "\n→ " : "", remedy);
        }
        r = output_table(&table);
        table_deinit(&table);
        return r;
}

static int print_json(const struct check_findings *findings)
{
        _cleanup_(json_putp) json_object *all = json_object_new_object();

        json_object_object_add(all, "Errors", json_object_new_uint64(findings->errors));
        json_object_object_add(all, "Warnings", json_object_new_uint64(findings->warnings));
        json_object_object_add(all, "Findings", json_object_get(findings->list));
        return output_json(all);
}

static int judge(const struct check_facts *facts, bool as_json)
{
        struct check_findings findings = {};
        int r = 0, status;

        check_judge(facts, &findings);
        if (findings.failed)
                r = -ENOMEM;
        if (r >= 0)
                r = as_json ? print_json(&findings) : print_table(findings.list);
        if (r < 0)
                log_error("%s", strerror(-r));
        status = r < 0 ? EXIT_AWAY : findings.errors > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        json_object_put(findings.list);
        return status;
}

static int run(const struct settings *settings, bool as_json)
{
        struct check_facts facts = {.settings = settings};
        struct error error = {};
        int status = EXIT_AWAY, r = check_read_kernel(&facts, &error);

        if (r >= 0)
                r = check_read_files("", &facts);
        if (r >= 0)
                r = check_read_api(&facts.api, settings->kubeconfig, NULL);
        read_cluster(&facts);
        if (r < 0)
                log_error("%s", error.text[0] ? error.text : strerror(-r));
        else
                status = judge(&facts, as_json);
        check_facts_deinit(&facts);
        return status;
}

int verb_check(int argc, char **argv)
{
        struct settings *settings = NULL;
        struct options options;
        struct error error = {};
        bool as_json = false;
        int status = EXIT_USAGE;

        options_init(&options);
        if (parse_arguments(&options, &as_json, argc, argv) >= 0) {
                if (config_load(&options, &settings, &error) < 0)
                        log_error("%s", error.text);
                else
                        status = run(settings, as_json);
        }
        settings_free(settings);
        options_deinit(&options);
        return status;
}
