/*
 * nodecryptorctl flush: takes the policy out of the kernel, in the order in which the daemon would
 * (policy/diff.c) if nothing were wanted any more. The one way out that leaves the host as it was.
 */
#include <getopt.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>

#include "basics/log.h"
#include "config/config.h"
#include "ctl/daemon_state.h"
#include "ctl/verbs.h"
#include "kernel/fib_apply.h"
#include "kernel/fib_read.h"
#include "kernel/netlink.h"
#include "kernel/noop_link.h"
#include "kernel/sink_link.h"
#include "policy/diff.h"
#include "policy/format.h"
#include "policy/input.h"
#include "store/layout_record.h"

/* Somebody may add while we delete; a daemon that we were told to ignore does. */
#define ATTEMPTS 3

struct flush {
        struct options options;
        const char *runtime_folder;
        bool yes;
        bool while_running;

        struct settings *settings;
        char *record_path;
        struct layout layouts[LAYOUT_RECORD_MAX + 1];
        size_t n_layouts;
        int lock;
        struct netlink *nl;
        struct fib actual;
        struct steps steps;
        size_t steered; /* destinations that were, before the first step */
};

static const struct option long_options[] = {
        {"yes", no_argument, NULL, 'y'},
        {"while-running", no_argument, NULL, 'w'},
        {"config", required_argument, NULL, 'c'},
        {"state-directory", required_argument, NULL, 's'},
        {"runtime-directory", required_argument, NULL, 'r'},
        {},
};

static const struct own_link *const own_links[] = {&sink_link, &noop_link};

static int parse_arguments(struct flush *flush, int argc, char **argv)
{
        const char *folder = NULL;
        int option, r = 0;

        optind = 1;
        while (r >= 0 && (option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
                switch (option) {
                case 'y': flush->yes = true; break;
                case 'w': flush->while_running = true; break;
                case 'c': r = text_replace(&flush->options.config, optarg); break;
                case 's': r = text_replace(&flush->options.state_directory, optarg); break;
                case 'r': folder = optarg; break;
                default: r = -EINVAL; break;
                }
        if (r >= 0 && optind != argc) {
                log_error("flush takes no argument");
                r = -EINVAL;
        }
        flush->runtime_folder = daemon_folder(folder);
        return r;
}

/* A configuration that cannot be read must not keep the policy in the kernel. */
static int read_settings(struct flush *flush)
{
        struct error error = {};
        int r = config_load(&flush->options, &flush->settings, &error);

        if (r >= 0)
                return 0;
        log_warning("%s: going by the defaults, and by the record of what was ever written",
                error.text);
        flush->settings = settings_new();
        if (!flush->settings)
                return -ENOMEM;
        if (!flush->options.state_directory)
                return 0;
        return text_replace(&flush->settings->state_directory, flush->options.state_directory);
}

static int find_layouts(struct flush *flush)
{
        struct layout_record record = {};
        struct error error = {};
        int r;

        if (asprintf(&flush->record_path, "%s/" LAYOUT_RECORD_FILE,
                    flush->settings->state_directory) < 0) {
                flush->record_path = NULL;
                return -ENOMEM;
        }
        r = layout_record_read(flush->record_path, &record, &error);
        if (r < 0 && r != -ENOENT)
                log_warning(
                        "%s: earlier tables and priorities are not known, what lies there stays",
                        error.text);
        flush->layouts[flush->n_layouts++] = policy_layout(flush->settings);
        for (size_t i = 0; i < record.n_layouts; i++)
                if (record.layouts[i].table_base != flush->layouts[0].table_base ||
                        record.layouts[i].priority_base != flush->layouts[0].priority_base)
                        flush->layouts[flush->n_layouts++] = record.layouts[i];
        return 0;
}

/* What has to go now. */
static int compare(struct flush *flush, struct error *error)
{
        const struct fib nothing = {};
        int r;

        fib_deinit(&flush->actual);
        steps_deinit(&flush->steps);
        r = kernel_fib_read(flush->nl, flush->layouts, flush->n_layouts, &flush->actual, error);
        for (int i = 0; r >= 0 && i < FAMILY_MAX; i++)
                r = policy_diff(flush->layouts, flush->n_layouts,
                        family_from_index((enum family_index)i), &flush->actual, &nothing,
                        &flush->steps);
        return r;
}

/* Complement tables hold copies only. */
static bool is_destination(const struct flush *flush, const struct route *route)
{
        for (size_t i = 0; i < flush->n_layouts; i++)
                if (route->table == layout_table(&flush->layouts[i], LAYOUT_TABLE_PODS) ||
                        route->table == layout_table(&flush->layouts[i], LAYOUT_TABLE_NODES))
                        return route_is_twin(route);
        return false;
}

static void count_steered(struct flush *flush)
{
        flush->steered = 0;
        for (size_t i = 0; i < flush->actual.n_routes; i++)
                flush->steered += is_destination(flush, &flush->actual.routes[i]);
}

static int print_step(const struct flush *flush, const struct step *step)
{
        bool is_rule = step->kind == STEP_DELETE_RULE;
        uint8_t family = is_rule ? step->rule.family : step->route.family;
        _cleanup_free_ char *arguments = NULL;
        struct text_builder text = {};
        int r;

        if (is_rule)
                rule_format(&step->rule, &text);
        else
                route_format(&step->route, flush->settings->interface, &text);
        r = text_take(&text, &arguments);
        if (r < 0)
                return r;
        printf("ip -%d %s del %s\n", family == AF_INET6 ? 6 : 4, is_rule ? "rule" : "route",
                arguments);
        return 0;
}

/* Until nothing is left. */
static int take_away(struct flush *flush, struct error *error)
{
        int r = 0;

        for (int i = 0; i < ATTEMPTS && flush->steps.n > 0; i++) {
                struct apply_result applied = {};

                r = kernel_fib_apply(flush->nl, &flush->steps, &applied);
                if (r < 0 && error->code == 0)
                        *error = applied.first;
                r = compare(flush, error);
                if (r < 0)
                        return r;
        }
        if (flush->steps.n == 0)
                return 0;
        if (error->code == 0)
                (void)error_set(error, -ESTALE, "somebody adds it again");
        return error->code;
}

/* After the routes: nothing of ours leads there any more. */
static int remove_links(struct flush *flush, struct error *error)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(own_links); i++)
                r = own_link_remove(flush->nl, own_links[i], error);
        return r;
}

/* Nothing is left to be remembered. */
static void forget(const struct flush *flush)
{
        if (unlink(flush->record_path) < 0 && errno != ENOENT)
                log_warning("%s: %s", flush->record_path, strerror(errno));
}

static int flush_now(struct flush *flush)
{
        size_t n = flush->steps.n;
        struct error error = {};

        if (take_away(flush, &error) < 0) {
                log_error("%zu rules and routes are still there: %s", flush->steps.n, error.text);
                return EXIT_FAILURE;
        }
        if (remove_links(flush, &error) < 0) {
                log_error("%s", error.text);
                return EXIT_FAILURE;
        }
        forget(flush);
        printf("%zu rules and routes taken away\n", n);
        if (flush->steered > 0)
                printf("%zu destinations (nodes, pod prefixes, `protect`) are no longer steered: "
                       "what the host sends there goes by its main table now, IN CLEAR\n",
                        flush->steered);
        return EXIT_SUCCESS;
}

/* The number of those that are there; negative errno. */
static int print_links(const struct flush *flush)
{
        struct error error = {};
        int n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(own_links); i++) {
                struct link link;
                int r = own_link_read(flush->nl, own_links[i], &link, &error);

                if (r < 0) {
                        log_error("%s", error.text);
                        return r;
                }
                if (r > 0)
                        printf("ip link del %s\n", own_links[i]->name);
                n += r;
        }
        return n;
}

static int show(const struct flush *flush)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < flush->steps.n; i++)
                r = print_step(flush, &flush->steps.items[i]);
        if (r >= 0)
                r = print_links(flush);
        if (fflush(stdout) != 0 || r < 0)
                return EXIT_FAILURE;
        if (flush->steps.n == 0 && r == 0)
                log_notice("there is nothing of ours in the kernel");
        else
                log_notice("nothing was changed: --yes does it, and %zu destinations are in clear "
                           "then",
                        flush->steered);
        return EXIT_SUCCESS;
}

static int hold_daemon_off(struct flush *flush)
{
        int r;

        if (flush->while_running)
                return 0;
        r = runtime_lock(flush->runtime_folder, &flush->lock);
        if (r == -EBUSY)
                log_error("nodecryptor is running and would put everything back: stop it first "
                          "(systemctl disable --now nodecryptor)");
        else if (r < 0)
                log_error("%s/lock: %s", flush->runtime_folder, strerror(-r));
        return r;
}

static int run(struct flush *flush)
{
        struct error error = {};
        int r = read_settings(flush);

        if (r >= 0)
                r = find_layouts(flush);
        if (r < 0) {
                log_error("%s", strerror(-r));
                return EXIT_FAILURE;
        }
        if (flush->yes && hold_daemon_off(flush) < 0)
                return EXIT_FAILURE;
        r = netlink_new(NETLINK_ROUTE, &flush->nl);
        if (r < 0)
                (void)error_set(&error, r, "rtnetlink: %s", strerror(-r));
        else
                r = compare(flush, &error);
        if (r < 0) {
                log_error("%s", error.code != 0 ? error.text : strerror(-r));
                return EXIT_FAILURE;
        }
        count_steered(flush);
        return flush->yes ? flush_now(flush) : show(flush);
}

int verb_flush(int argc, char **argv)
{
        struct flush flush = {.lock = -1};
        int status = EXIT_USAGE;

        options_init(&flush.options);
        if (parse_arguments(&flush, argc, argv) >= 0)
                status = run(&flush);
        steps_deinit(&flush.steps);
        fib_deinit(&flush.actual);
        netlink_free(flush.nl);
        if (flush.lock >= 0)
                close(flush.lock);
        free(flush.record_path);
        settings_free(flush.settings);
        options_deinit(&flush.options);
        return status;
}
