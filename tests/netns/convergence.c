#include "convergence.h"

#include <linux/netlink.h>
#include <net/if.h>
#include <stdlib.h>

#include "daemon/reconciler.h"
#include "kernel/fib_read.h"
#include "kernel/link.h"
#include "policy/compute.h"
#include "test.h"

#define STATE_FOLDER "/tmp/nodecryptor-test-XXXXXX"

static char state_folder[sizeof(STATE_FOLDER)];

void convergence_end(void)
{
        char command[sizeof(state_folder) + 8];

        if (!state_folder[0])
                return;
        snprintf(command, sizeof(command), "rm -r %s", state_folder);
        if (system(command) != 0)
                printf("# failed: %s\n", command);
        state_folder[0] = '\0';
}

void convergence_begin(void)
{
        static bool is_registered;

        if (!is_registered)
                CHECK_INT(atexit(convergence_end), 0); /* for tests that fail */
        is_registered = true;
        convergence_end();
        CHECK(fixture_enter());
        world_host();
        strcpy(state_folder, STATE_FOLDER);
        CHECK(mkdtemp(state_folder));
}

void set_device(bool up)
{
        static const char *const states[] = {"down", "up"};

        run("ip link set " DEVICE " %s", states[up]);
}

int try_reconcile(const struct world *settings, const struct world *nodes, bool complete,
        struct error *ret_error)
{
        struct reconcile_result result = {};
        struct reconciler reconciler;
        struct error error = {};
        const struct reconcile_input input = {
                .settings = settings->settings,
                .cluster = nodes->cluster,
                .node_name = SELF,
                .endpoint = &settings->endpoint,
                .complete = complete,
        };

        int r;

        CHECK(reconciler_init(&reconciler, state_folder, &error) >= 0);
        r = reconciler_run(&reconciler, &input, &result);
        *ret_error = result.error;
        CHECK(result.in_sync == (r >= 0));
        reconcile_result_deinit(&result);
        reconciler_deinit(&reconciler);
        return r;
}

void reconcile(const struct world *settings, const struct world *nodes, bool complete)
{
        struct error error = {};

        if (try_reconcile(settings, nodes, complete, &error) < 0)
                printf("# %s\n", error.text);
        CHECK_INT(error.code, 0);
}

static void read_both(const struct world *world, const struct layout *layouts, size_t n_layouts,
        struct fib *ret_wanted, struct fib *ret_actual)
{
        struct netlink *nl = fixture_netlink(NETLINK_ROUTE);
        struct address *local = NULL;
        struct device device = {
                .usable = world->device_up,
                .ifindex = if_nametoindex(DEVICE),
                .mark = DEFAULT_MARK,
        };
        struct policy_input input = {
                .settings = world->settings,
                .cluster = world->cluster,
                .node_name = SELF,
                .device = &device,
                .endpoint = &world->endpoint,
                .actual = ret_actual,
        };

        CHECK_INT(addresses_read(nl, &local, &device.n_local, NULL), 0);
        device.local = local;
        CHECK_INT(kernel_fib_read(nl, layouts, n_layouts, ret_actual, NULL), 0);
        CHECK_INT(policy_compute(&input, ret_wanted), 0);
        free(local);
        netlink_free(nl);
}

void convergence_read(const struct world *world, struct fib *ret_wanted, struct fib *ret_actual)
{
        struct layout layout = policy_layout(world->settings);

        read_both(world, &layout, 1, ret_wanted, ret_actual);
}

void check_converged(const struct world *world, const struct world *other)
{
        struct layout layouts[] = {policy_layout(world->settings), policy_layout(other->settings)};
        bool same = layouts[0].table_base == layouts[1].table_base &&
                    layouts[0].priority_base == layouts[1].priority_base;
        struct fib wanted = {}, actual = {};

        read_both(world, layouts, same ? 1 : 2, &wanted, &actual);
        CHECK(fib_equal(&actual, &wanted));
        fib_deinit(&wanted);
        fib_deinit(&actual);
}
