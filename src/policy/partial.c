/*
 * A destination is steered while some other node lists it, so what a change does to it depends on
 * two numbers: how many nodes list it after the change (`claims`), and, those that came taken off
 * and those that went put back, how many did before.
 *
 * Rules are the same before and after when no node that an exemption selects is among the changed
 * ones, nor ourselves; `local` (our own pods, `exclude`) does not depend on other nodes, and where
 * it is stronger than what a node lists, steering_add_node() leaves that out. The complement tables
 * (complement.h) hold the changed nodes as the node table does: where an exemption selects another
 * node of the same address, that one does not change, and neither does what is there.
 */
#include "policy/partial.h"

#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "policy/complement.h"
#include "policy/compute.h"
#include "policy/steering.h"

/* Of one run; more is no small change. */
#define PREFIXES_MAX 4096

struct partial {
        const struct policy_input *input;
        const struct node *self;
        const struct node_changes *changes;
        struct steering came; /* of every `after`, with repetitions, sorted */
        struct steering gone; /* of every `before` */
        struct steering before, after;
};

static bool is_selected(const struct settings *settings, const struct node *node)
{
        for (size_t i = 0; i < settings->n_exemptions; i++)
                if (selector_matches(&settings->exemptions[i].selector, node))
                        return true;
        return false;
}

/* Lists an address of ours or a prefix around, or within, what our own pods have. */
static bool touches_us(const struct partial *p, const struct node *node)
{
        for (int i = 0; i < FAMILY_MAX; i++) {
                const struct address *address = &node->addresses[i];

                if (address->family != 0 && (node_has_address(p->self, address) ||
                                                    device_has_local(p->input->device, address)))
                        return true;
        }
        for (size_t i = 0; i < node->n_pod_prefixes; i++)
                for (size_t j = 0; j < p->self->n_pod_prefixes; j++)
                        if (prefix_overlaps(&node->pod_prefixes[i], &p->self->pod_prefixes[j]))
                                return true;
        return false;
}

static bool is_plain(const struct partial *p, const struct node *node)
{
        return !node || (strcmp(node->name, p->self->name) != 0 &&
                                !is_selected(p->input->settings, node) && !touches_us(p, node));
}

/* Whatever is steered has routes: then their number tells whether a family is in the policy. */
static bool has_routes(const struct partial *p)
{
        struct address source;

        return p->input->settings->on_tunnel_down == TUNNEL_DOWN_BLOCK ||
               (policy_device_usable(p->input, AF_INET, &source) &&
                       policy_device_usable(p->input, AF_INET6, &source));
}

/* We are known by our name, and no change is more than another node's prefixes. */
static bool is_possible(const struct partial *p)
{
        size_t n_prefixes = 0;

        if (!p->self || !p->input->node_name || strcmp(p->self->name, p->input->node_name) != 0 ||
                !has_routes(p))
                return false;
        for (size_t i = 0; i < p->changes->n; i++) {
                const struct node_change *change = &p->changes->items[i];

                n_prefixes += change->before ? change->before->n_pod_prefixes : 0;
                n_prefixes += change->after ? change->after->n_pod_prefixes : 0;
                if (n_prefixes > PREFIXES_MAX || !is_plain(p, change->before) ||
                        !is_plain(p, change->after))
                        return false;
        }
        return true;
}

static void sort(struct prefixes *set)
{
        if (set->n > 0)
                qsort(set->items, set->n, sizeof(set->items[0]), prefix_compare_void);
}

static int collect(struct partial *p)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < p->changes->n; i++) {
                const struct node_change *change = &p->changes->items[i];

                if (change->before)
                        r = steering_add_node(&p->gone, p->input, p->self, change->before);
                if (r >= 0 && change->after)
                        r = steering_add_node(&p->came, p->input, p->self, change->after);
        }
        sort(&p->came.pods);
        sort(&p->came.nodes);
        sort(&p->gone.pods);
        sort(&p->gone.nodes);
        return r;
}

/* How many times the prefix stands at *i of the sorted set; *i moves behind it. */
static unsigned count_at(const struct prefixes *set, size_t *i, const struct prefix *prefix)
{
        size_t begin = *i;

        while (*i < set->n && prefix_equal(&set->items[*i], prefix))
                ++*i;
        return (unsigned)(*i - begin);
}

/* Each touched prefix once, into the set of the side on which some node lists it. */
static int split(const struct prefixes *came, const struct prefixes *gone,
        const struct prefix_counts *counts, struct prefixes *ret_before, struct prefixes *ret_after)
{
        size_t i = 0, j = 0;
        int r = 0;

        while (r >= 0 && (i < came->n || j < gone->n)) {
                bool in_came = j == gone->n || (i < came->n && prefix_compare(&came->items[i],
                                                                       &gone->items[j]) < 0);
                struct prefix prefix = in_came ? came->items[i] : gone->items[j];
                unsigned after = prefix_counts_get(counts, &prefix);
                unsigned more = count_at(came, &i, &prefix), less = count_at(gone, &j, &prefix);

                if (after + less > more)
                        r = prefixes_add(ret_before, &prefix);
                if (r >= 0 && after > 0)
                        r = prefixes_add(ret_after, &prefix);
        }
        return r;
}

/* `protect` may name a node's very address: its twin then stays when the node goes. */
static int add_guards(struct partial *p)
{
        _cleanup_(steering_deinit) struct steering whole = {};
        int r = steering_add_guard(&whole, p->input, p->self);

        for (size_t i = 0; r >= 0 && i < whole.guard.n; i++) {
                const struct prefix *prefix = &whole.guard.items[i];

                if (!prefixes_have(&p->came.nodes, prefix) &&
                        !prefixes_have(&p->gone.nodes, prefix))
                        continue;
                r = prefixes_add(&p->before.guard, prefix);
                if (r >= 0)
                        r = prefixes_add(&p->after.guard, prefix);
        }
        return r;
}

void policy_count_steered(const struct fib *fib, size_t steered[static FAMILY_MAX])
{
        for (size_t i = 0; i < fib->n_routes; i++)
                if (fib->routes[i].type != RTN_THROW)
                        steered[family_index(fib->routes[i].family)]++;
}

/* False: a family appears in the policy, or may leave it. */
static bool count_families(
        size_t steered[static FAMILY_MAX], const struct fib *before, const struct fib *after)
{
        size_t less[FAMILY_MAX] = {}, more[FAMILY_MAX] = {};

        policy_count_steered(before, less);
        policy_count_steered(after, more);
        for (int i = 0; i < FAMILY_MAX; i++) {
                if (less[i] == 0 && more[i] == 0)
                        continue;
                if (steered[i] == 0 || steered[i] + more[i] <= less[i])
                        return false;
                steered[i] += more[i] - less[i];
        }
        return true;
}

static int compute(struct partial *p, const struct claims *claims, struct fib *ret_before,
        struct fib *ret_after)
{
        int r = collect(p);

        if (r >= 0)
                r = split(&p->came.pods, &p->gone.pods, &claims->pods, &p->before.pods,
                        &p->after.pods);
        if (r >= 0)
                r = split(&p->came.nodes, &p->gone.nodes, &claims->addresses, &p->before.nodes,
                        &p->after.nodes);
        if (r >= 0)
                r = add_guards(p);
        if (r >= 0)
                r = policy_compute_routes(p->input, &p->before, ret_before);
        if (r >= 0)
                r = policy_compute_routes(p->input, &p->after, ret_after);
        /* So that the order of steps knows which of the tables are looked up. */
        if (r >= 0)
                r = complement_add_standing(p->input, ret_before);
        if (r >= 0)
                r = complement_add_standing(p->input, ret_after);
        if (r < 0) {
                fib_deinit(ret_before);
                fib_deinit(ret_after);
        }
        return r < 0 ? r : 1;
}

int policy_partial(const struct policy_input *input, const struct node_changes *changes,
        const struct claims *claims, size_t steered[static FAMILY_MAX], struct fib *ret_before,
        struct fib *ret_after)
{
        struct partial p = {
                .input = input,
                .self = policy_self(input),
                .changes = changes,
        };
        int r;

        if (changes->incomplete || !claims->complete || !is_possible(&p))
                return 0;
        r = compute(&p, claims, ret_before, ret_after);
        if (r > 0 && !count_families(steered, ret_before, ret_after)) {
                fib_deinit(ret_before);
                fib_deinit(ret_after);
                r = 0;
        }
        steering_deinit(&p.came);
        steering_deinit(&p.gone);
        steering_deinit(&p.before);
        steering_deinit(&p.after);
        return r;
}
