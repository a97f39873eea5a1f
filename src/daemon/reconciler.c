#include "daemon/reconciler.h"

#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon/standing.h"
#include "kernel/fib_apply.h"
#include "kernel/fib_read.h"
#include "kernel/noop_link.h"
#include "kernel/wireguard.h"
#include "policy/compute.h"
#include "policy/diff.h"
#include "policy/format.h"
#include "policy/shape.h"

/* Writing and reading back, at most so often in one run. */
#define PASSES 3u

/* What one run works on. */
struct run {
        struct reconciler *reconciler;
        const struct reconcile_input *input;
        struct reconcile_result *result;
        struct device device;
        struct address *local;
        struct layout layouts[LAYOUT_RECORD_MAX + 1];
        size_t n_layouts;
        struct fib wanted;
        struct fib actual;
        struct standing before; /* what the last run left */
};

int reconciler_init(struct reconciler *reconciler, const char *state_directory, struct error *error)
{
        int r;

        *reconciler = (struct reconciler){};
        if (asprintf(&reconciler->record_path, "%s/%s", state_directory, LAYOUT_RECORD_FILE) < 0) {
                reconciler->record_path = NULL;
                return error_set(error, -ENOMEM, "out of memory");
        }
        r = netlink_new(NETLINK_ROUTE, &reconciler->route);
        if (r < 0)
                return error_set(error, r, "rtnetlink: %s", strerror(-r));
        r = layout_record_read(reconciler->record_path, &reconciler->record, error);
        if (r < 0 && r != -ENOENT)
                return 1;
        return 0;
}

void reconciler_deinit(struct reconciler *reconciler)
{
        netlink_free(reconciler->route);
        free(reconciler->record_path);
        standing_deinit(&reconciler->standing);
        reverse_path_deinit(&reconciler->reverse_path);
        *reconciler = (struct reconciler){};
}

void reconcile_result_deinit(struct reconcile_result *result)
{
        text_deinit(&result->findings);
}

uint64_t reconciler_clock(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static bool same_layout(const struct layout *a, const struct layout *b)
{
        return a->table_base == b->table_base && a->priority_base == b->priority_base;
}

size_t reconciler_layouts(const struct reconciler *reconciler, const struct settings *settings,
        struct layout ret[static LAYOUT_RECORD_MAX + 1])
{
        size_t n = 0;

        ret[n++] = policy_layout(settings);
        for (size_t i = 0; i < reconciler->record.n_layouts; i++)
                if (!same_layout(&reconciler->record.layouts[i], &ret[0]))
                        ret[n++] = reconciler->record.layouts[i];
        return n;
}

bool reconciler_rp_filter_changed(const struct reconciler *reconciler)
{
        return reverse_path_changed(&reconciler->reverse_path, reconciler->route);
}

/* The device's own mark; the default one while it cannot be asked. False: it has none set yet. */
static bool read_mark(struct run *run)
{
        struct reconciler *reconciler = run->reconciler;
        uint32_t ifindex = run->result->link.ifindex;
        struct wireguard wireguard;
        int r;

        run->device.mark = DEFAULT_MARK;
        if (ifindex == 0)
                return true;
        r = wireguard_read(ifindex, &wireguard, NULL);
        if (r < 0) {
                /* Out of memory, say: what it was is a better guess than the default. */
                if (reconciler->marked == ifindex)
                        run->device.mark = reconciler->mark;
                return true;
        }
        if (wireguard.fwmark == 0)
                return false;
        run->device.mark = wireguard.fwmark;
        run->result->mark_known = true;
        reconciler->marked = ifindex;
        reconciler->mark = wireguard.fwmark;
        return true;
}

static int read_device(struct run *run)
{
        struct reconcile_result *result = run->result;
        const char *name = run->input->settings->interface;
        bool marked;
        int r;

        r = link_read(run->reconciler->route, name, &result->link, &result->error);
        if (r < 0 && r != -ENODEV)
                return r;
        if (r < 0)
                result->error = (struct error){};
        r = addresses_read(
                run->reconciler->route, &run->local, &run->device.n_local, &result->error);
        if (r < 0)
                return r;
        run->device.local = run->local;
        run->device.no_ipv6 = !kernel_has_family(run->reconciler->route, AF_INET6);

        /* Unmarked, the device's packets would be sent back into it: it is of no use until marked.
         */
        marked = read_mark(run);
        run->device.ifindex = result->link.ifindex;
        run->device.usable = result->link.ifindex != 0 && result->link.up &&
                             link_encrypts(&result->link) && marked;
        result->device_usable = run->device.usable;
        result->mark = run->device.mark;
        return 0;
}

static int describe_findings(struct run *run, const struct policy_input *input)
{
        struct findings findings = {};
        int r = policy_findings(input, &findings);

        if (r < 0)
                return r;
        for (size_t i = 0; i < findings.n; i++) {
                finding_format(&findings.items[i], &run->result->findings);
                text_append(&run->result->findings, "\n");
        }
        run->result->n_findings += findings.n;
        findings_deinit(&findings);
        return 0;
}

static void count(struct run *run, const struct policy_input *input)
{
        const struct node *self = policy_self(input);
        const struct cluster *cluster = input->cluster;
        struct reconcile_result *result = run->result;

        for (size_t i = 0; i < cluster->n_nodes; i++) {
                result->control_planes += node_is_control_plane(cluster->nodes[i]);
                if (cluster->nodes[i] == self)
                        continue;
                node_tally_count(&result->steered, cluster->nodes[i], 1);
                result->pods += cluster->nodes[i]->n_pod_prefixes;
                for (int family = 0; family < FAMILY_MAX; family++)
                        result->nodes += cluster->nodes[i]->addresses[family].family != 0;
        }
        for (size_t i = 0; i < input->endpoint->n_addresses; i++)
                result->endpoint_local |=
                        device_has_local(input->device, &input->endpoint->addresses[i]);
        result->is_known = self != NULL;
        result->self = self;
        result->is_control_plane = self && node_is_control_plane(self);
        result->rules = run->wanted.n_rules;
        result->routes = run->wanted.n_routes;
}

static struct policy_input policy_input(const struct run *run)
{
        return (struct policy_input){
                .settings = run->input->settings,
                .cluster = run->input->cluster,
                .node_name = run->input->node_name,
                .device = &run->device,
                .endpoint = run->input->endpoint,
                .actual = &run->actual,
        };
}

static int compute(struct run *run)
{
        const struct policy_input input = policy_input(run);
        int r = policy_compute(&input, &run->wanted);

        return r < 0 ? error_set(&run->result->error, r, "out of memory") : 0;
}

/* What is there to tell of it; the kernel need not wait for that. */
static int describe(struct run *run)
{
        const struct policy_input input = policy_input(run);
        int r = describe_findings(run, &input);

        reverse_path_judge(
                &run->reconciler->reverse_path, run->reconciler->route, &input, run->result);
        count(run, &input);
        return r < 0 && run->result->error.code == 0
                       ? error_set(&run->result->error, r, "out of memory")
                       : r;
}

static int read_kernel(struct run *run)
{
        fib_deinit(&run->actual);
        return kernel_fib_read(run->reconciler->route, run->layouts, run->n_layouts, &run->actual,
                &run->result->error);
}

/* Before the first object of a layout is written, so that it is found again after any crash. */
static void remember_layout(struct run *run)
{
        struct layout_record *record = &run->reconciler->record;

        if (run->wanted.n_rules == 0 && run->wanted.n_routes == 0)
                return;
        if (layout_record_add(record, &run->layouts[0]) == 0)
                return;
        layout_record_write(run->reconciler->record_path, record, &run->result->record_error);
}

/* What earlier layouts left is gone: they need not be looked at again. */
static void forget_layouts(struct run *run)
{
        struct layout_record *record = &run->reconciler->record;

        if (run->n_layouts == 1)
                return;
        for (size_t i = 1; i < run->n_layouts; i++)
                layout_record_remove(record, &run->layouts[i]);
        layout_record_write(run->reconciler->record_path, record, &run->result->record_error);
}

/* Compares, and applies unless only observing; the steps are counted either way. */
static int step_family(struct run *run, int family, bool apply)
{
        struct reconcile_result *result = run->result;
        struct apply_result applied = {};
        struct steps steps = {};
        int r;

        r = policy_diff(run->layouts, run->n_layouts, family, &run->actual, &run->wanted, &steps);
        if (r < 0)
                return error_set(&result->error, r, "out of memory");
        if (!run->input->complete)
                steps_keep_what_stands(&steps);
        result->pending += steps.n;
        if (apply && steps.n > 0) {
                r = kernel_fib_apply(run->reconciler->route, &steps, &applied);
                result->written_at = reconciler_clock();
                result->written += applied.written;
                result->failed += applied.failed;
                if (r < 0 && result->error.code == 0)
                        result->error = applied.first;
        }
        steps_deinit(&steps);
        return r;
}

/* Both families, even where the first fails: neither holds up the other. */
static int step_all(struct run *run, bool apply)
{
        int first = 0;

        run->result->pending = 0;
        for (int i = 0; i < FAMILY_MAX; i++) {
                int r = step_family(run, family_from_index((enum family_index)i), apply);

                if (r < 0 && first >= 0)
                        first = r;
        }
        return first;
}

static void note_alien(struct run *run, const struct rule *rule, const struct route *route)
{
        struct text_builder text = {};

        if (run->result->aliens++ > 0)
                return;
        if (rule) {
                text_append(&text, "rule ");
                rule_format(rule, &text);
        } else {
                text_append(&text, "route ");
                route_format(route, NULL, &text);
        }
        snprintf(run->result->first_alien, sizeof(run->result->first_alien), "%s",
                text.failed ? "?" : text.text);
        text_deinit(&text);
}

/* What lies in our places without being ours; earlier layouts' places are nobody's any more. */
static void count_aliens(struct run *run)
{
        for (size_t i = 0; i < run->actual.n_rules; i++)
                if (layout_has_priority(&run->layouts[0], run->actual.rules[i].priority) &&
                        rule_shape(run->layouts, run->n_layouts, &run->actual.rules[i]) ==
                                SHAPE_ALIEN)
                        note_alien(run, &run->actual.rules[i], NULL);
        for (size_t i = 0; i < run->actual.n_routes; i++)
                if (layout_has_table(&run->layouts[0], run->actual.routes[i].table) &&
                        route_shape(run->layouts, run->n_layouts, &run->actual.routes[i]) ==
                                SHAPE_ALIEN)
                        note_alien(run, NULL, &run->actual.routes[i]);
}

/* Reads back and compares once more: nothing may be left to do. */
static int verify(struct run *run)
{
        struct reconcile_result *result = run->result;
        int r = read_kernel(run);

        if (r >= 0)
                r = step_all(run, false);
        if (r < 0)
                return r;
        if (result->pending > 0)
                return error_set(&result->error, -ESTALE,
                        "the kernel differs from the policy in %zu objects after writing it",
                        result->pending);
        return 0;
}

/* A table that is looked up does not change its meaning: what stands is better left alone. */
static int refuse_clash(struct run *run)
{
        const struct rule *rule = layout_clash(run->layouts, run->n_layouts, &run->actual);

        if (!rule)
                return 0;
        return error_set(&run->result->error, -EADDRINUSE,
                "table %u has another meaning in the policy that stands: table_base must differ by "
                "%d or more from the one before, or be that one",
                rule->table, LAYOUT_TABLES);
}

/* Writes, and reads back what came of it; 1: something other than what was wanted, try again. */
static int enforce_once(struct run *run)
{
        struct reconcile_result *result = run->result;
        size_t failed = result->failed;
        int r = step_all(run, true), verified;
        struct error first = result->error;

        if (result->pending == 0)
                return r;
        verified = verify(run);
        /* What failed may have been in vain all the same: what counts is what is there. */
        if (verified >= 0) {
                result->error = (struct error){};
                return 0;
        }
        if (verified == -ESTALE && result->failed == failed)
                return 1;
        if (first.code != 0)
                result->error = first;
        return r < 0 ? r : verified;
}

/*
 * More than once, when the kernel did what it was told and still differs: under one key there may
 * be several routes of others, of which a request reaches only the first.
 */
static int enforce(struct run *run)
{
        struct reconcile_result *result = run->result;
        int r = refuse_clash(run);

        if (r < 0)
                return r;
        remember_layout(run);
        for (unsigned i = 0; i < PASSES; i++) {
                result->error = (struct error){};
                r = enforce_once(run);
                if (r <= 0)
                        break;
        }
        if (r > 0)
                r = result->error.code;
        result->untouched = r >= 0 && result->written == 0;
        result->in_sync = r >= 0;
        if (result->in_sync && run->input->complete)
                forget_layouts(run);
        return r;
}

static int apply_noop_route(struct run *run)
{
        const struct prefix *prefix = &run->input->settings->noop_route;
        struct netlink *nl = run->reconciler->route;
        int r;

        r = prefix->address.family != 0 ? noop_link_ensure(nl, prefix, &run->result->error)
                                        : noop_link_remove(nl, &run->result->error);
        if (r > 0)
                run->result->written++;
        return r;
}

/* The links of ours, when the routes are as they should be. */
static int apply_links(struct run *run)
{
        int r = 0;

        if (run->device.sink == 0 && run->input->complete)
                r = reverse_path_clean(run->reconciler->route, run->result);
        return r < 0 ? r : apply_noop_route(run);
}

/* Brings the kernel, as it was read, to what is wanted. */
static int run_kernel(struct run *run)
{
        int r;

        if (run->input->settings->mode == MODE_OBSERVE) {
                r = step_all(run, false);
                policy_preview(&run->layouts[0], &run->device, &run->wanted, &run->actual,
                        &run->result->preview);
                run->result->in_sync = r >= 0 && run->result->pending == 0;
                count_aliens(run);
                return r;
        }
        r = enforce(run);
        count_aliens(run); /* of what was read last: those that were holes are gone by then */
        return r < 0 ? r : apply_links(run);
}

static int run_all(struct run *run)
{
        int r = read_device(run), computed, described;

        if (r < 0)
                return r;
        run->device.sink = reverse_path_prepare(
                &run->reconciler->reverse_path, run->reconciler->route, run->input, run->result);
        if (run->input->settings->mode == MODE_ENFORCE)
                standing_reopen(&run->before, run->reconciler->route, run->input, &run->device,
                        run->result);
        run->reconciler->device = run->device;
        run->reconciler->device.local = NULL;
        run->reconciler->device.n_local = 0;
        r = read_kernel(run);
        computed = compute(run); /* also of a kernel that cannot be read there is much to tell */
        if (computed < 0)
                return computed;
        if (r >= 0)
                r = run_kernel(run);
        described = describe(run);
        return r < 0 ? r : described;
}

int reconciler_run(struct reconciler *reconciler, const struct reconcile_input *input,
        struct reconcile_result *ret)
{
        struct run run = {.reconciler = reconciler, .input = input, .result = ret};
        int r;

        run.before = reconciler->standing;
        reconciler->standing = (struct standing){};
        run.n_layouts = reconciler_layouts(reconciler, input->settings, run.layouts);
        r = run_all(&run);
        if (r >= 0 && ret->in_sync && input->complete && input->settings->mode == MODE_ENFORCE) {
                standing_set(&reconciler->standing, input, &run.device, TAKE_PTR(run.local),
                        &run.wanted, ret);
        }
        standing_deinit(&run.before);
        fib_deinit(&run.wanted);
        fib_deinit(&run.actual);
        free(run.local);
        return r < 0 ? r : 0;
}
