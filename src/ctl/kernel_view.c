#include "ctl/kernel_view.h"

#include <inttypes.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "basics/log.h"
#include "config/config.h"
#include "ctl/human.h"
#include "ctl/output.h"
#include "kernel/fib_read.h"
#include "kernel/link.h"
#include "kernel/netlink.h"
#include "policy/input.h"
#include "policy/shape.h"
#include "store/json.h"
#include "store/layout_record.h"
#include "store/snapshot.h"

struct view {
        struct settings *settings;
        struct netlink *nl;
        struct layout layouts[LAYOUT_RECORD_MAX + 1];
        size_t n_layouts;
        bool kernel_read, device_read;
        size_t rules, routes;
        struct link device;
        struct snapshot snapshot;
        bool snapshot_read;
};

static void find_layouts(struct view *view)
{
        struct layout_record record = {};
        _cleanup_free_ char *path = NULL;

        view->layouts[view->n_layouts++] = policy_layout(view->settings);
        if (asprintf(&path, "%s/%s", view->settings->state_directory, LAYOUT_RECORD_FILE) < 0) {
                path = NULL;
                return;
        }
        /* Absent, or not for this user: the configured places are looked at. */
        if (layout_record_read(path, &record, NULL) < 0)
                return;
        for (size_t i = 0; i < record.n_layouts; i++)
                view->layouts[view->n_layouts++] = record.layouts[i];
}

static void read_kernel(struct view *view)
{
        struct fib fib = {};
        struct error error = {};
        int r = netlink_new(NETLINK_ROUTE, &view->nl);

        if (r < 0) {
                log_error("rtnetlink: %s", strerror(-r));
                return;
        }
        r = link_read(view->nl, view->settings->interface, &view->device, &error);
        view->device_read = r >= 0 || r == -ENODEV;
        r = kernel_fib_read(view->nl, view->layouts, view->n_layouts, &fib, &error);
        if (r < 0) {
                log_error("%s", error.text);
                return;
        }
        view->kernel_read = true;
        for (size_t i = 0; i < fib.n_rules; i++)
                view->rules +=
                        rule_shape(view->layouts, view->n_layouts, &fib.rules[i]) != SHAPE_ALIEN;
        for (size_t i = 0; i < fib.n_routes; i++)
                view->routes +=
                        route_shape(view->layouts, view->n_layouts, &fib.routes[i]) != SHAPE_ALIEN;
        fib_deinit(&fib);
}

static void read_snapshot(struct view *view)
{
        struct error error = {};
        char *path;
        int r;

        if (asprintf(&path, "%s/%s", view->settings->state_directory, SNAPSHOT_FILE) < 0)
                return;
        r = snapshot_read(path, &view->snapshot, &error);
        view->snapshot_read = r >= 0;
        if (r < 0 && r != -ENOENT)
                log_error("%s", error.text);
        free(path);
}

static const char *device_state(const struct view *view)
{
        if (!view->device_read)
                return "unknown";
        if (view->device.ifindex == 0)
                return "absent";
        if (!link_encrypts(&view->device))
                return "no WireGuard device";
        return view->device.up ? "up" : "down";
}

static int print_json(const struct view *view)
{
        _cleanup_(json_putp) json_object *all = json_object_new_object();

        if (!all)
                return -ENOMEM;
        json_object_object_add(all, "State", json_object_new_string("away"));
        if (view->kernel_read) {
                json_object_object_add(all, "Rules", json_object_new_uint64(view->rules));
                json_object_object_add(all, "Routes", json_object_new_uint64(view->routes));
        }
        json_object_object_add(all, "Device", json_object_new_string(view->settings->interface));
        json_object_object_add(all, "DeviceState", json_object_new_string(device_state(view)));
        if (view->snapshot_read) {
                json_object_object_add(
                        all, "SnapshotSaved", json_object_new_uint64(view->snapshot.saved_at));
                json_object_object_add(
                        all, "Nodes", json_object_new_uint64(view->snapshot.cluster->n_nodes));
        }
        return output_json(all);
}

static int print_table(const struct view *view)
{
        static const struct table_column columns[] = {{.right = true}, {.wraps = true}};
        struct table table = {.columns = columns, .n_columns = ARRAY_SIZE(columns)};
        char saved[HUMAN_TEXT_MAX];
        int r;

        table_add(&table, COLOUR_DIM, "Kernel");
        if (!view->kernel_read)
                table_add(&table, COLOUR_WARNING, "cannot be read");
        else if (view->rules + view->routes == 0)
                table_add(&table, COLOUR_BAD, "holds nothing of a policy");
        else
                table_add(&table, COLOUR_NONE,
                        "holds %zu rules and %zu routes of a policy, which is in force without the "
                        "daemon, but not maintained",
                        view->rules, view->routes);
        table_add(&table, COLOUR_DIM, "Device");
        table_add(&table, COLOUR_NONE, "%s: %s", view->settings->interface, device_state(view));
        table_add(&table, COLOUR_DIM, "Snapshot");
        if (view->snapshot_read)
                table_add(&table, COLOUR_NONE, "%zu nodes, saved %s",
                        view->snapshot.cluster->n_nodes,
                        human_age(view->snapshot.saved_at, (uint64_t)time(NULL), saved));
        else
                table_add(&table, COLOUR_NONE, "none that can be read in %s",
                        view->settings->state_directory);
        r = output_table(&table);
        table_deinit(&table);
        return r;
}

void kernel_view_print(const struct options *options, bool as_json)
{
        struct view view = {};
        struct error error = {};
        int r;

        if (config_load(options, &view.settings, &error) < 0) {
                log_error("%s", error.text);
                return;
        }
        find_layouts(&view);
        read_kernel(&view);
        read_snapshot(&view);
        r = as_json ? print_json(&view) : print_table(&view);
        if (r < 0)
                log_error("%s", strerror(-r));
        netlink_free(view.nl);
        if (view.snapshot_read)
                snapshot_deinit(&view.snapshot);
        settings_free(view.settings);
}
