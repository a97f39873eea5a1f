#include "policy/fib.h"

#include <errno.h>
#include <stdlib.h>

#include "basics/array.h"
#include "basics/sort.h"

/* −1, 0 or 1, as qsort(3) wants it; the first difference decides. */
#define COMPARE(a, b)                              \
        do {                                       \
                if ((a) != (b))                    \
                        return (a) < (b) ? -1 : 1; \
        } while (0)

static int range_compare(const struct port_range *a, const struct port_range *b)
{
        COMPARE(a->first, b->first);
        COMPARE(a->last, b->last);
        return 0;
}

int rule_compare(const struct rule *a, const struct rule *b)
{
        int r;

        COMPARE(a->family, b->family);
        COMPARE(a->priority, b->priority);
        COMPARE(a->foreign, b->foreign);
        COMPARE(a->action, b->action);
        COMPARE(a->table, b->table);
        COMPARE(a->target, b->target);
        COMPARE(a->protocol, b->protocol);
        COMPARE(a->mark, b->mark);
        COMPARE(a->iif_lo, b->iif_lo);
        COMPARE(a->ip_protocol, b->ip_protocol);
        r = prefix_compare(&a->to, &b->to);
        if (r == 0)
                r = prefix_compare(&a->from, &b->from);
        if (r == 0)
                r = range_compare(&a->sport, &b->sport);
        if (r == 0)
                r = range_compare(&a->dport, &b->dport);
        return r;
}

int route_key_compare(const struct route *a, const struct route *b)
{
        int r;

        COMPARE(a->family, b->family);
        COMPARE(a->table, b->table);
        r = prefix_compare(&a->destination, &b->destination);
        if (r != 0)
                return r;
        COMPARE(a->metric, b->metric);
        COMPARE(a->tos, b->tos);
        return 0;
}

int route_compare(const struct route *a, const struct route *b)
{
        int r = route_key_compare(a, b);

        if (r != 0)
                return r;
        COMPARE(a->foreign, b->foreign);
        COMPARE(a->type, b->type);
        COMPARE(a->protocol, b->protocol);
        COMPARE(a->scope, b->scope);
        COMPARE(a->oif, b->oif);
        COMPARE(a->nexthop, b->nexthop);
        return address_compare(&a->source, &b->source);
}

bool route_is_twin(const struct route *route)
{
        return route->metric == TWIN_METRIC;
}

bool route_is_sink(const struct route *route)
{
        return route->metric == SINK_METRIC;
}

int fib_reserve_routes(struct fib *fib, size_t n)
{
        struct route *grown;

        if (fib->n_routes + n <= fib->allocated_routes)
                return 0;
        grown = reallocarray(fib->routes, fib->n_routes + n, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        fib->routes = grown;
        fib->allocated_routes = fib->n_routes + n;
        return 0;
}

int fib_add_rule(struct fib *fib, const struct rule *rule)
{
        if (!ARRAY_RESERVE(fib->rules, fib->allocated_rules, fib->n_rules + 1))
                return -ENOMEM;
        fib->rules[fib->n_rules++] = *rule;
        return 0;
}

int fib_add_route(struct fib *fib, const struct route *route)
{
        if (!ARRAY_RESERVE(fib->routes, fib->allocated_routes, fib->n_routes + 1))
                return -ENOMEM;
        fib->routes[fib->n_routes++] = *route;
        return 0;
}

static int rule_compare_void(const void *a, const void *b)
{
        return rule_compare(a, b);
}

static int route_compare_void(const void *a, const void *b)
{
        return route_compare(a, b);
}

void fib_sort(struct fib *fib)
{
        sort_runs(fib->rules, fib->n_rules, sizeof(fib->rules[0]), rule_compare_void);
        sort_runs(fib->routes, fib->n_routes, sizeof(fib->routes[0]), route_compare_void);
}

void fib_deinit(struct fib *fib)
{
        free(fib->rules);
        free(fib->routes);
        *fib = (struct fib){};
}
