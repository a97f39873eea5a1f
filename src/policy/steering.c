/*
 * Sets make the hard cases plain: two nodes that list the same address or prefix are one entry,
 * a node that takes over another's address changes nothing, and an entry goes when the last node
 * that lists it goes.
 *
 * Where prefixes overlap, the longest decides, in the kernel's tables as everywhere. Two entries
 * cannot have the same prefix, so on equality: `exclude` is stronger than anything (it drops what
 * lies in it), our own pods are stronger than what another node claims (they are on this host,
 * whatever a stale object says), and both are stronger than `protect`.
 */
#include "policy/steering.h"

static int add_all(struct prefixes *set, const struct prefix *prefixes, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                int r = prefixes_add(set, &prefixes[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}

static bool is_excluded(const struct policy_input *input, const struct prefix *prefix)
{
        for (size_t i = 0; i < input->settings->n_exclude; i++)
                if (prefix_covers(&input->settings->exclude[i], prefix))
                        return true;
        return false;
}

static bool is_own_prefix(const struct node *self, const struct prefix *prefix)
{
        for (size_t i = 0; self && i < self->n_pod_prefixes; i++)
                if (prefix_equal(&self->pod_prefixes[i], prefix))
                        return true;
        return false;
}

static bool lies_in_own_prefix(const struct node *self, const struct prefix *prefix)
{
        for (size_t i = 0; self && i < self->n_pod_prefixes; i++)
                if (prefix_covers(&self->pod_prefixes[i], prefix))
                        return true;
        return false;
}

static int add_steered(struct prefixes *set, const struct policy_input *input,
        const struct node *self, const struct prefix *prefix)
{
        if (is_excluded(input, prefix) || is_own_prefix(self, prefix))
                return 0;
        return prefixes_add(set, prefix);
}

bool steering_takes_address(
        const struct policy_input *input, const struct node *self, const struct address *address)
{
        struct prefix host = prefix_from_address(address);

        return address->family != 0 && !(self && node_has_address(self, address)) &&
               !is_excluded(input, &host) && !is_own_prefix(self, &host);
}

int steering_add_node(struct steering *steering, const struct policy_input *input,
        const struct node *self, const struct node *node)
{
        int r;

        for (size_t i = 0; i < node->n_pod_prefixes; i++) {
                r = add_steered(&steering->pods, input, self, &node->pod_prefixes[i]);
                if (r < 0)
                        return r;
        }
        for (int i = 0; i < FAMILY_MAX; i++) {
                struct prefix host = prefix_from_address(&node->addresses[i]);

                if (!steering_takes_address(input, self, &node->addresses[i]))
                        continue;
                r = add_steered(&steering->nodes, input, self, &host);
                if (r < 0)
                        return r;
        }
        return 0;
}

/*
 * A(L) itself. While it is configured here the local table comes first; while it is not, what the
 * others still send to it arrives encrypted, and would be sent on in clear.
 */
static int add_own_guard(
        struct steering *steering, const struct policy_input *input, const struct node *self)
{
        for (int i = 0; i < FAMILY_MAX; i++) {
                struct prefix host = prefix_from_address(&self->addresses[i]);
                int r;

                if (self->addresses[i].family == 0 || is_excluded(input, &host) ||
                        lies_in_own_prefix(self, &host))
                        continue;
                r = prefixes_add(&steering->guard, &host);
                if (r < 0)
                        return r;
        }
        return 0;
}

int steering_add_guard(
        struct steering *steering, const struct policy_input *input, const struct node *self)
{
        const struct settings *settings = input->settings;

        for (size_t i = 0; i < settings->n_protect; i++) {
                const struct prefix *prefix = &settings->protect[i];
                int r;

                if (is_excluded(input, prefix) || lies_in_own_prefix(self, prefix))
                        continue;
                r = prefixes_add(&steering->guard, prefix);
                if (r < 0)
                        return r;
        }
        return self ? add_own_guard(steering, input, self) : 0;
}

static int fill(struct steering *steering, const struct policy_input *input)
{
        const struct node *self = policy_self(input);
        int r;

        for (size_t i = 0; i < input->cluster->n_nodes; i++) {
                if (input->cluster->nodes[i] == self)
                        continue;
                r = steering_add_node(steering, input, self, input->cluster->nodes[i]);
                if (r < 0)
                        return r;
        }
        r = add_all(&steering->local, input->settings->exclude, input->settings->n_exclude);
        if (r >= 0 && self)
                r = add_all(&steering->local, self->pod_prefixes, self->n_pod_prefixes);
        if (r >= 0)
                r = steering_add_guard(steering, input, self);
        return r;
}

int steering_compute(const struct policy_input *input, struct steering *ret)
{
        int r = fill(ret, input);

        if (r < 0) {
                steering_deinit(ret);
                return r;
        }
        prefixes_sort(&ret->pods);
        prefixes_sort(&ret->nodes);
        prefixes_sort(&ret->local);
        prefixes_sort(&ret->guard);
        return 0;
}

void steering_deinit(struct steering *steering)
{
        prefixes_deinit(&steering->pods);
        prefixes_deinit(&steering->nodes);
        prefixes_deinit(&steering->local);
        prefixes_deinit(&steering->guard);
        *steering = (struct steering){};
}

static bool set_has_family(const struct prefixes *set, int family)
{
        /* Sorted by family: the first and the last tell. */
        return set->n > 0 && (set->items[0].address.family == family ||
                                     set->items[set->n - 1].address.family == family);
}

bool steering_has_family(const struct steering *steering, int family)
{
        return set_has_family(&steering->pods, family) ||
               set_has_family(&steering->nodes, family) || set_has_family(&steering->guard, family);
}
