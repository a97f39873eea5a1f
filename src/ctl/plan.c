/*
 * nodecryptorctl plan: the policy as ip(8) commands, what the daemon would write in the order in
 * which it would write it, made by the same functions; and the difference between two of them.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "basics/log.h"
#include "ctl/bus_client.h"
#include "ctl/flow_arguments.h"
#include "ctl/output.h"
#include "ctl/plan_host.h"
#include "ctl/verbs.h"
#include "store/json.h"

struct plan {
        struct plan_host host;
        const char *nodes;
        bool diff;
        bool as_json;
};

static const struct option long_options[] = {
        {"nodes", required_argument, NULL, 'N'},
        {"node-name", required_argument, NULL, 'n'},
        {"diff", no_argument, NULL, 'd'},
        {"format", required_argument, NULL, 'f'},
        {"config", required_argument, NULL, 'c'},
        {"state-directory", required_argument, NULL, 's'},
        {"api-endpoint", required_argument, NULL, 'e'},
        {"mark", required_argument, NULL, 'm'},
        {"without-device", no_argument, NULL, 'w'},
        {"loose-rp-filter", no_argument, NULL, 'l'},
        {},
};

static int take_format(struct plan *plan, const char *format)
{
        plan->as_json = strcmp(format, "json") == 0;
        if (plan->as_json || strcmp(format, "ip") == 0)
                return 0;
        log_error("--format %s: ip or json", format);
        return -EINVAL;
}

static int take_mark(struct plan *plan, const char *mark)
{
        if (mark_parse(mark, &plan->host.mark) >= 0 && plan->host.mark != 0)
                return 0;
        log_error("--mark %s: not a mark", mark);
        return -EINVAL;
}

static int take_option(struct plan *plan, int option)
{
        struct options *options = &plan->host.options;

        switch (option) {
        case 'N': plan->nodes = optarg; return 0;
        case 'n': return text_replace(&options->node_name, optarg);
        case 'd': plan->diff = true; return 0;
        case 'f': return take_format(plan, optarg);
        case 'c': return text_replace(&options->config, optarg);
        case 's': return text_replace(&options->state_directory, optarg);
        case 'e': return plan_host_add_endpoint(&plan->host, optarg);
        case 'm': return take_mark(plan, optarg);
        case 'w': plan->host.without_device = true; return 0;
        case 'l': plan->host.loose = true; return 0;
        default: return -EINVAL;
        }
}

static int parse_arguments(struct plan *plan, int argc, char **argv)
{
        int option, r;

        optind = 1;
        while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
                r = take_option(plan, option);
                if (r < 0)
                        return r;
        }
        if (plan->diff ? optind + 2 == argc && !plan->nodes
                       : optind == argc && (!plan->nodes || plan->host.options.node_name))
                return 0;
        log_error("plan takes nothing (the daemon's policy), --nodes FILE and --node-name NAME, or "
                  "--diff A B");
        return -EINVAL;
}

static int print_lines(char *const *lines, size_t n, const char *before)
{
        for (size_t i = 0; i < n; i++)
                printf("%s%s\n", before, lines[i]);
        return fflush(stdout) != 0 || ferror(stdout) ? -EIO : 0;
}

static int print_plan(const struct plan_lines *lines, bool as_json)
{
        _cleanup_(json_putp) json_object *list = NULL;

        if (!as_json)
                return print_lines(lines->items, lines->n, "");
        list = plan_lines_json(lines->items, lines->n);
        return list ? output_json(list) : -ENOMEM;
}

static int print_diff_json(
        char *const *removed, size_t n_removed, char *const *added, size_t n_added)
{
        _cleanup_(json_putp) json_object *all = json_object_new_object();

        if (!all ||
                json_object_object_add(all, "Removed", plan_lines_json(removed, n_removed)) < 0 ||
                json_object_object_add(all, "Added", plan_lines_json(added, n_added)) < 0)
                return -ENOMEM;
        return output_json(all);
}

/* 1: there is a difference. */
static int print_diff(const struct plan_lines *a, const struct plan_lines *b, bool as_json)
{
        _cleanup_free_ char **removed = NULL, **added = NULL;
        size_t n_removed = 0, n_added = 0;
        int r = plan_lines_missing(a, b, &removed, &n_removed);

        if (r >= 0)
                r = plan_lines_missing(b, a, &added, &n_added);
        if (r >= 0 && as_json)
                r = print_diff_json(removed, n_removed, added, n_added);
        else if (r >= 0)
                r = print_lines(removed, n_removed, "- ");
        if (r >= 0 && !as_json)
                r = print_lines(added, n_added, "+ ");
        return r < 0 ? r : n_removed + n_added > 0;
}

/* The daemon first, wherever it stands: the other one is for the same host. */
static int read_both(
        struct plan *plan, char *const *sources, struct plan_lines *a, struct plan_lines *b)
{
        bool turned = strcmp(sources[1], "daemon") == 0;
        int r = plan_host_read(&plan->host, sources[turned], turned ? b : a);

        return r < 0 ? r : plan_host_read(&plan->host, sources[!turned], turned ? a : b);
}

static int run(struct plan *plan, char *const *arguments)
{
        struct plan_lines a = {}, b = {};
        int r, printed;

        r = plan->diff ? read_both(plan, arguments, &a, &b)
                       : plan_host_read(&plan->host, plan->nodes ? plan->nodes : "daemon", &a);
        if (r >= 0) {
                printed = plan->diff ? print_diff(&a, &b, plan->as_json)
                                     : print_plan(&a, plan->as_json);
                if (printed < 0)
                        log_error("%s", strerror(-printed));
                r = printed;
        }
        plan_lines_deinit(&a);
        plan_lines_deinit(&b);
        return r;
}

int verb_plan(int argc, char **argv)
{
        struct plan plan = {};
        int r, status;

        plan_host_init(&plan.host);
        r = parse_arguments(&plan, argc, argv);
        if (r < 0) {
                plan_host_deinit(&plan.host);
                return EXIT_USAGE;
        }
        r = run(&plan, argv + optind);
        status = r > 0 ? EXIT_DIFFERENT : r == -EINVAL ? EXIT_USAGE : bus_exit_status(r);
        plan_host_deinit(&plan.host);
        return status;
}
