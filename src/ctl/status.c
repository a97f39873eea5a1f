/*
 * nodecryptorctl status: what the daemon does now, on one screen.
 */
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "basics/log.h"
#include "ctl/bus_client.h"
#include "ctl/human.h"
#include "ctl/kernel_view.h"
#include "ctl/output.h"
#include "ctl/status_json.h"
#include "ctl/verbs.h"
#include "ctl/warnings.h"
#include "store/json.h"

static const struct option long_options[] = {
        {"json", no_argument, NULL, 'j'},
        {"config", required_argument, NULL, 'c'},
        {"state-directory", required_argument, NULL, 's'},
        {},
};

static const struct table_column columns[] = {{.right = true}, {.wraps = true}};

static void add_label(struct table *table, const char *label)
{
        table_add(table, COLOUR_DIM, "%s", label);
}

static void add_state(struct table *table, json_object *status, uint64_t now)
{
        const char *state = status_text(status, "State"), *reason = status_text(status, "Reason");
        bool enforcing = strcmp(state, "enforcing") == 0;
        char since[HUMAN_TEXT_MAX], ago[HUMAN_TEXT_MAX], sync[HUMAN_TEXT_MAX];

        add_label(table, "State");
        human_time(status_number(status, "Since"), since);
        human_age(status_number(status, "Since"), now, ago);
        table_add(table,
                enforcing                        ? COLOUR_GOOD
                : strcmp(state, "degraded") == 0 ? COLOUR_BAD
                                                 : COLOUR_WARNING,
                "%s since %s (%s)%s%s", state, since, ago, *reason ? "\n" : "", reason);
        add_label(table, "Kernel");
        human_age(status_number(status, "LastSync"), now, sync);
        table_add(table, status_is(status, "InSync") ? COLOUR_NONE : COLOUR_WARNING,
                "%s; last seen so %s; generation %" PRIu64 ", %" PRIu64 " rules, %" PRIu64
                " routes",
                status_is(status, "InSync") ? "holds the policy" : "does not hold the policy", sync,
                status_number(status, "Generation"), status_number(status, "Rules"),
                status_number(status, "Routes"));
        add_label(table, "Mode");
        table_add(table, COLOUR_NONE, "%s%s", status_text(status, "Mode"),
                status_is(status, "ModeOverridden") ? ", on request, until the daemon ends" : "");
}

static void add_node(struct table *table, json_object *status)
{
        const char *name = status_text(status, "NodeName");

        add_label(table, "Node");
        table_add(table, COLOUR_NONE, "%s (%s)", *name ? name : "name not known",
                !status_is(status, "NodeKnown")     ? "no CiliumNode"
                : status_is(status, "ControlPlane") ? "control plane"
                                                    : "worker");
}

static void add_knowledge(struct table *table, json_object *status, uint64_t now)
{
        const char *source = status_text(status, "Knowledge"), *api = status_text(status, "API");
        char age[HUMAN_TEXT_MAX], saved[HUMAN_TEXT_MAX];

        add_label(table, "API");
        table_add(table, strcmp(api, "watching") == 0 ? COLOUR_NONE : COLOUR_WARNING,
                "%s, last heard %s", *api ? api : "not asked yet",
                human_age(status_number(status, "APILastContact"), now, age));
        add_label(table, "Nodes");
        table_add(table, COLOUR_NONE,
                "%" PRIu64 " (%" PRIu64 " control plane%s), %s%s; steered: %" PRIu64
                " addresses, %" PRIu64 " pod prefixes; %" PRIu64 " exemptions",
                status_number(status, "Nodes"), status_number(status, "ControlPlanes"),
                status_number(status, "ControlPlanes") == 1 ? "" : "s",
                strcmp(source, "none") == 0 ? "none known yet" : "as of ",
                strcmp(source, "none") == 0
                        ? ""
                        : human_age(status_number(status, "KnowledgeAt"), now, age),
                status_number(status, "NodeAddresses"), status_number(status, "PodPrefixes"),
                status_number(status, "Exemptions"));
        add_label(table, "Snapshot");
        human_age(status_number(status, "SnapshotSaved"), now, saved);
        table_add(table, COLOUR_NONE, "%s%s%s",
                status_number(status, "SnapshotSaved") ? "saved " : "", saved,
                strcmp(source, "snapshot") == 0 ? ", and in force" : "");
}

static void add_device(struct table *table, json_object *status)
{
        bool present = status_is(status, "DevicePresent"), up = status_is(status, "DeviceUp");

        add_label(table, "Device");
        if (!present) {
                table_add(table, COLOUR_BAD, "%s is not there", status_text(status, "Device"));
                return;
        }
        table_add(table, up ? COLOUR_NONE : COLOUR_BAD,
                "%s %s, MTU %" PRIu64 ", mark %#" PRIx64 "%s", status_text(status, "Device"),
                up ? "up" : "cannot be used", status_number(status, "DeviceMTU"),
                status_number(status, "DeviceMark"),
                status_is(status, "DeviceMarkKnown") ? "" : " (assumed)");
        if (*status_text(status, "DeviceKey")) {
                add_label(table, "");
                table_add(table, COLOUR_NONE, "public key %s", status_text(status, "DeviceKey"));
        }
        add_label(table, "Peers");
        if (!status_is(status, "PeersKnown"))
                table_add(table, COLOUR_DIM, "not known: only a device of the kernel can be asked");
        else
                table_add(table, COLOUR_NONE,
                        "%" PRIu64 ", %" PRIu64 " of them of no CiliumNode; nodes: %" PRIu64
                        " carried, %" PRIu64 " missing, %" PRIu64 " mismatched, %" PRIu64
                        " stale, %" PRIu64 " undecided",
                        status_number(status, "Peers"), status_number(status, "PeersUnknown"),
                        status_number(status, "NodesCarried"),
                        status_number(status, "NodesMissing"),
                        status_number(status, "NodesMismatched"),
                        status_number(status, "NodesStale"),
                        status_number(status, "NodesUndecided"));
}

/* In observe mode. */
static void add_preview(struct table *table, json_object *status)
{
        const char *preview = status_text(status, "Preview");

        if (strcmp(status_text(status, "Mode"), "observe") != 0)
                return;
        add_label(table, "Would be");
        table_add(table, COLOUR_NONE, "%s",
                *preview ? preview : "nothing else: the kernel holds the policy");
}

static void add_repair(struct table *table, json_object *status, uint64_t now)
{
        char age[HUMAN_TEXT_MAX];

        add_label(table, "Last repair");
        if (status_number(status, "LastForeignChangeAt") == 0)
                table_add(table, COLOUR_NONE, "none needed since the start");
        else
                table_add(table, COLOUR_NONE, "%s: %s",
                        human_age(status_number(status, "LastForeignChangeAt"), now, age),
                        status_text(status, "LastForeignChange"));
}

static void add_warnings(struct table *table, json_object *warnings)
{
        for (size_t i = 0; i < json_object_array_length(warnings); i++) {
                json_object *warning = json_object_array_get_idx(warnings, i);
                const char *remedy = status_text(warning, "Remedy");

                add_label(table, "Warning");
                table_add(table, COLOUR_WARNING, "%s", status_text(warning, "Text"));
                if (*remedy) {
                        add_label(table, "");
                        table_add(table, COLOUR_NONE, "→ %s", remedy);
                }
        }
}

static int print_table(json_object *status, json_object *warnings, uint64_t now)
{
        struct table table = {.columns = columns, .n_columns = ARRAY_SIZE(columns)};
        int r;

        add_node(&table, status);
        add_state(&table, status, now);
        add_knowledge(&table, status, now);
        add_device(&table, status);
        add_preview(&table, status);
        add_repair(&table, status, now);
        add_warnings(&table, warnings);
        r = output_table(&table);
        table_deinit(&table);
        return r;
}

static int exit_status(json_object *status)
{
        const char *state = status_text(status, "State");

        if (strcmp(state, "enforcing") == 0)
                return status_is(status, "InSync") ? EXIT_SUCCESS : EXIT_FAILURE;
        return strcmp(state, "observing") == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int print_status(json_object *status, bool as_json)
{
        json_object *warnings = NULL;
        uint64_t now = (uint64_t)time(NULL);
        int r = warnings_find(status, now, &warnings);

        /* It is the status' own from here on. */
        if (r >= 0 && json_object_object_add(status, "Warnings", warnings) < 0) {
                json_object_put(warnings);
                r = -ENOMEM;
        }
        if (r >= 0)
                r = as_json ? output_json(status) : print_table(status, warnings, now);
        if (r < 0) {
                log_error("%s", strerror(-r));
                return EXIT_FAILURE;
        }
        return exit_status(status);
}

int verb_status(int argc, char **argv)
{
        _cleanup_(json_putp) json_object *status = NULL;
        _cleanup_(bus_client_freep) struct bus_client *client = NULL;
        struct options options;
        struct error error = {};
        bool as_json = false;
        int option, r = 0;

        options_init(&options);
        optind = 1;
        while (r >= 0 && (option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
                switch (option) {
                case 'j': as_json = true; break;
                case 'c': r = text_replace(&options.config, optarg); break;
                case 's': r = text_replace(&options.state_directory, optarg); break;
                default: r = -EINVAL;
                }
        if (r >= 0 && optind != argc) {
                log_error("status takes no argument");
                r = -EINVAL;
        }
        if (r < 0) {
                options_deinit(&options);
                return EXIT_USAGE;
        }
        r = bus_client_new(&client, &error);
        if (r >= 0)
                r = bus_client_properties(client, &status, &error);
        if (r >= 0) {
                r = print_status(status, as_json);
        } else {
                log_error("%s", error.text);
                if (r == -ESRCH)
                        kernel_view_print(&options, as_json);
                r = bus_exit_status(r);
        }
        options_deinit(&options);
        return r;
}
