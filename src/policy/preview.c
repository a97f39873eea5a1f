#include "policy/preview.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

/* What becomes of a destination in a table. */
enum fate { FATE_LEFT_ALONE, FATE_DEVICE, FATE_BLOCKED };

static bool is_looked_up(const struct fib *fib, uint8_t family, uint32_t table)
{
        for (size_t i = 0; i < fib->n_rules; i++) {
                const struct rule *rule = &fib->rules[i];

                if (rule->family == family && !rule->foreign && rule->action == FR_ACT_TO_TBL &&
                        rule->table == table)
                        return true;
        }
        return false;
}

/* Destinations are compared within a family and a table. */
static int place_compare(const struct route *a, const struct route *b)
{
        if (a->family != b->family)
                return a->family < b->family ? -1 : 1;
        if (a->table != b->table)
                return a->table < b->table ? -1 : 1;
        return prefix_compare(&a->destination, &b->destination);
}

/* The best metric comes first and decides. */
static enum fate fate_of(const struct route *route)
{
        if (route->type == RTN_UNREACHABLE || route_is_sink(route))
                return FATE_BLOCKED;
        return route->type == RTN_UNICAST && route->oif != 0 ? FATE_DEVICE : FATE_LEFT_ALONE;
}

/* Past all routes to that destination. */
static size_t skip(const struct fib *fib, size_t i)
{
        const struct route *route = &fib->routes[i++];

        while (i < fib->n_routes && place_compare(&fib->routes[i], route) == 0)
                i++;
        return i;
}

static void note(struct preview *preview, const struct route *route, enum fate now, enum fate then)
{
        enum effect effect = then == FATE_DEVICE    ? EFFECT_MOVED
                             : then == FATE_BLOCKED ? EFFECT_BLOCKED
                                                    : EFFECT_RELEASED;
        size_t n = preview->effects[effect].n;

        if (now == then)
                return;
        if (n < PREVIEW_NAMED)
                preview->effects[effect].first[n] = route->destination;
        preview->effects[effect].n++;
}

/* The tables that every steered destination is in; complements repeat them. */
static bool is_steering_table(const struct layout *layout, uint32_t table)
{
        return table == layout_table(layout, LAYOUT_TABLE_PODS) ||
               table == layout_table(layout, LAYOUT_TABLE_NODES);
}

/* What is sent there stays here, whatever our tables say. */
static bool is_local(const struct device *device, const struct prefix *destination)
{
        return destination->length == address_bits(destination->address.family) &&
               device_has_local(device, &destination->address);
}

void policy_preview(const struct layout *layout, const struct device *device,
        const struct fib *wanted, const struct fib *actual, struct preview *ret)
{
        size_t w = 0, a = 0;

        *ret = (struct preview){};
        while (w < wanted->n_routes || a < actual->n_routes) {
                const struct route *then = w < wanted->n_routes ? &wanted->routes[w] : NULL,
                                   *now = a < actual->n_routes ? &actual->routes[a] : NULL, *route;
                int order = !then ? 1 : !now ? -1 : place_compare(then, now);
                enum fate before = FATE_LEFT_ALONE, after = FATE_LEFT_ALONE;

                route = order <= 0 ? then : now;
                if (order <= 0 && then) {
                        after = fate_of(then);
                        w = skip(wanted, w);
                }
                if (order >= 0 && now) {
                        if (is_looked_up(actual, now->family, now->table))
                                before = fate_of(now);
                        a = skip(actual, a);
                }
                if (route && is_steering_table(layout, route->table) &&
                        !is_local(device, &route->destination))
                        note(ret, route, before, after);
        }
}

static const char *owner_of(const struct cluster *cluster, const struct prefix *prefix)
{
        bool host = prefix->length == address_bits(prefix->address.family);

        for (size_t i = 0; i < cluster->n_nodes; i++) {
                const struct node *node = cluster->nodes[i];

                if (host && node_has_address(node, &prefix->address))
                        return node->name;
                for (size_t k = 0; k < node->n_pod_prefixes; k++)
                        if (prefix_compare(&node->pod_prefixes[k], prefix) == 0)
                                return node->name;
        }
        return NULL;
}

static void append_named(const struct preview *preview, enum effect effect,
        const struct cluster *cluster, struct text_builder *builder)
{
        size_t n = preview->effects[effect].n;

        for (size_t i = 0; i < n && i < PREVIEW_NAMED; i++) {
                const struct prefix *prefix = &preview->effects[effect].first[i];
                const char *owner = owner_of(cluster, prefix);
                char text[PREFIX_TEXT_MAX];

                text_append(builder, "%s%s%s%s", i > 0 ? ", " : " (", prefix_format(prefix, text),
                        owner ? " of " : "", owner ? owner : "");
        }
        text_append(builder, n > PREVIEW_NAMED ? ", …)" : ")");
}

void preview_format(const struct preview *preview, const struct cluster *cluster,
        const char *interface, struct text_builder *builder)
{
        static const char *const words[EFFECT_MAX] = {
                [EFFECT_MOVED] = "move into",
                [EFFECT_BLOCKED] = "be blocked",
                [EFFECT_RELEASED] = "be left alone",
        };
        bool first = true;

        for (unsigned i = 0; i < EFFECT_MAX; i++) {
                size_t n = preview->effects[i].n;

                if (n == 0)
                        continue;
                text_append(builder, "%s%zu%s would %s%s%s", first ? "" : ", ", n,
                        !first   ? ""
                        : n == 1 ? " destination"
                                 : " destinations",
                        words[i], i == EFFECT_MOVED ? " " : "", i == EFFECT_MOVED ? interface : "");
                append_named(preview, i, cluster, builder);
                first = false;
        }
}
