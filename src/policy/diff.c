/*
 * The order of the steps, and why it keeps the invariants between any two of them.
 *
 * A flow is decided by three components in a row: P, the lookup in the pod tables (steered or
 * passed on); E, the exemption rules (main or passed on); N, the lookup in the node tables. A flow
 * is steered when P holds, or when E does not and N does. Write b for before the change and a for
 * after it. Required at every moment: a flow steered before and after is steered (no plaintext); a
 * flow exempt before and after is exempt (no lock-out).
 *
 * 1. Each component alone never gives an answer that is neither its "before" nor its "after".
 *    In a table the longest prefix decides, so new entries come longest first (a new entry is met
 *    only when the longer new ones are there) and old ones go shortest first (an old entry still
 *    decides only where it decided before). A twin comes before its sink (struct device) and
 *    that before the device route, and they go in reverse: each alone lets nothing out in clear. An
 * entry whose key stays is replaced in one message. Rules are added before old ones of their kind
 * are deleted.
 * 2. P is strengthened first, while E and N still say "before": a flow of Pa is steered from then
 *    on, a flow of not-Pb that stays steered is held by Eb and Nb.
 * 3. P is weakened last, when E and N say "after": a flow of Pb is steered until then, and a flow
 *    of not-Pa that stays steered is held by Ea and Na.
 * 4. Between them E and N change. A flow that P never decides has not-E before and after, and N
 *    before and after, hence (1) at every moment: steered. A flow that is exempt before and after
 *    is in E at every moment, as new exemptions come before the old go, and they go only when no
 *    old N rule could catch the flow in front of the new exemptions.
 * 5. A weakening of P by a `throw` (our own pods, `exclude`) is late as (3) says, unless nothing
 *    looks the table up yet: then the order inside it is not seen, and the throw comes first, so
 *    that no local pod is cut off for a moment. Under a throw that changes together with what
 *    covers it, an exempt address may be blocked between two messages; nothing is ever in clear.
 * 6. The device's own packets: the way to main is added before, and deleted after, its guard.
 *
 * `vital` steps are those whose absence would make a later one a hole.
 */
#include "policy/diff.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "basics/array.h"
#include "policy/shape.h"

enum phase {
        PHASE_ADD_MARK,
        PHASE_ADD_MARK_GUARD,
        PHASE_STRENGTHEN_PODS,    /* (2) */
        PHASE_DELETE_PODS_ALIENS, /* what others put into what we steer */
        PHASE_DELETE_PODS_THROWS,
        PHASE_ADD_PODS_RULE,
        PHASE_ADD_EXEMPTIONS, /* (4) */
        PHASE_ADD_NODES,
        PHASE_DELETE_NODES_ALIENS,
        PHASE_ADD_NODES_RULE,
        PHASE_DELETE_NODES_RULE,
        PHASE_DELETE_EXEMPTIONS,
        PHASE_DELETE_NODES,
        PHASE_DELETE_PODS_RULE, /* (3) */
        PHASE_ADD_PODS_THROWS,
        PHASE_WEAKEN_PODS,
        PHASE_DELETE_MARK_GUARD,
        PHASE_DELETE_MARK,
};

struct comparison {
        const struct layout *layouts;
        size_t n_layouts;
        int family;
        const struct fib *actual;
        const struct fib *wanted;
        struct steps *steps;
        bool pods_looked_up; /* some rule of the kernel looks our pod table up already */
};

static int add_step(struct comparison *c, const struct step *step)
{
        if (!ARRAY_RESERVE(c->steps->items, c->steps->allocated, c->steps->n + 1))
                return -ENOMEM;
        c->steps->items[c->steps->n++] = *step;
        return 0;
}

static enum phase phase_to_add_rule(enum shape shape)
{
        switch (shape) {
        case SHAPE_MARK: return PHASE_ADD_MARK;
        case SHAPE_MARK_GUARD: return PHASE_ADD_MARK_GUARD;
        case SHAPE_PODS: return PHASE_ADD_PODS_RULE;
        case SHAPE_EXEMPTION: return PHASE_ADD_EXEMPTIONS;
        default: return PHASE_ADD_NODES_RULE;
        }
}

static enum phase phase_to_delete_rule(enum shape shape)
{
        switch (shape) {
        case SHAPE_MARK: return PHASE_DELETE_MARK;
        case SHAPE_MARK_GUARD: return PHASE_DELETE_MARK_GUARD;
        case SHAPE_PODS: return PHASE_DELETE_PODS_RULE;
        case SHAPE_EXEMPTION: return PHASE_DELETE_EXEMPTIONS;
        default: return PHASE_DELETE_NODES_RULE;
        }
}

static int add_rule(struct comparison *c, const struct rule *rule)
{
        struct step step = {
                .kind = STEP_ADD_RULE,
                .phase = phase_to_add_rule(rule_shape(c->layouts, c->n_layouts, rule)),
                .vital = true,
                .rule = *rule,
        };

        return rule->family == c->family ? add_step(c, &step) : 0;
}

/* A rule of the kernel that is not wanted, or is there once too often. */
static int delete_rule(struct comparison *c, const struct rule *rule)
{
        enum shape shape = rule_shape(c->layouts, c->n_layouts, rule);
        struct step step = {
                .kind = STEP_DELETE_RULE,
                .phase = phase_to_delete_rule(shape),
                .rule = *rule,
        };

        return rule->family == c->family && shape != SHAPE_ALIEN ? add_step(c, &step) : 0;
}

static int compare_rules(struct comparison *c)
{
        const struct fib *actual = c->actual, *wanted = c->wanted;
        size_t i = 0, j = 0;
        int r = 0;

        while (r >= 0 && (i < actual->n_rules || j < wanted->n_rules)) {
                int order = i == actual->n_rules ? 1
                            : j == wanted->n_rules
                                    ? -1
                                    : rule_compare(&actual->rules[i], &wanted->rules[j]);

                if (order < 0)
                        r = delete_rule(c, &actual->rules[i++]);
                else if (order > 0)
                        r = add_rule(c, &wanted->rules[j++]);
                else
                        i++, j++;
        }
        return r;
}

static enum phase phase_to_add_route(const struct comparison *c, const struct route *route)
{
        if (!route_in_pods_table(c->layouts, 1, route))
                return PHASE_ADD_NODES;
        if (route_shape(c->layouts, 1, route) == SHAPE_THROW && c->pods_looked_up)
                return PHASE_ADD_PODS_THROWS;
        return PHASE_STRENGTHEN_PODS;
}

static int add_route(struct comparison *c, const struct route *route)
{
        struct step step = {
                .kind = STEP_REPLACE_ROUTE,
                .phase = phase_to_add_route(c, route),
                .vital = route_is_twin(route),
                .route = *route,
        };

        return route->family == c->family ? add_step(c, &step) : 0;
}

/* True when the destination lies in what the wanted policy steers or guards in that table. */
static bool is_steered(const struct comparison *c, const struct route *route)
{
        for (size_t i = 0; i < c->wanted->n_routes; i++) {
                const struct route *wanted = &c->wanted->routes[i];

                if (wanted->family == route->family && wanted->table == route->table &&
                        wanted->type != RTN_THROW &&
                        prefix_covers(&wanted->destination, &route->destination))
                        return true;
        }
        return false;
}

/* A route of the kernel whose key is not wanted. */
static int delete_route(struct comparison *c, const struct route *route)
{
        enum shape shape = route_shape(c->layouts, c->n_layouts, route);
        bool pods = route_in_pods_table(c->layouts, c->n_layouts, route);
        struct step step = {.kind = STEP_DELETE_ROUTE, .route = *route};

        if (route->family != c->family)
                return 0;
        if (shape == SHAPE_ALIEN) {
                if (!is_steered(c, route))
                        return 0;
                step.phase = pods ? PHASE_DELETE_PODS_ALIENS : PHASE_DELETE_NODES_ALIENS;
        } else if (!pods) {
                step.phase = PHASE_DELETE_NODES;
        } else if (shape == SHAPE_THROW && route_in_pods_table(c->layouts, 1, route)) {
                step.phase = PHASE_DELETE_PODS_THROWS;
        } else {
                /* A throw in a table that we leave goes with it, when no rule of ours looks it up.
                 */
                step.phase = PHASE_WEAKEN_PODS;
        }
        return add_step(c, &step);
}

/* What somebody put beside a route of ours under the same key. */
static int delete_extra(struct comparison *c, const struct route *route)
{
        struct step step = {
                .kind = STEP_DELETE_ROUTE,
                .phase = route_in_pods_table(c->layouts, c->n_layouts, route)
                                 ? PHASE_DELETE_PODS_ALIENS
                                 : PHASE_DELETE_NODES_ALIENS,
                .route = *route,
        };

        return route->family == c->family ? add_step(c, &step) : 0;
}

/*
 * A delete of `other` may take ours in its place: the two differ only in what a delete cannot name
 * (several next hops, metrics …).
 */
static bool is_hit_alike(const struct route *other, const struct route *ours)
{
        return other->type == ours->type && other->scope == ours->scope &&
               other->protocol == ours->protocol && other->nexthop == 0 &&
               (other->oif == 0 || other->oif == ours->oif) &&
               (other->source.family == 0 || address_equal(&other->source, &ours->source));
}

/*
 * The key is in both. Where ours is there it stays, and the same key once more, which somebody
 * appended or prepended, goes; if need be with ours (the twin decides then) until the next
 * comparison. Where ours is not there it replaces the one that the kernel finds first, and the
 * others go.
 */
static int compare_same_key(struct comparison *c, size_t *i, const struct route *should)
{
        const struct route *actual = c->actual->routes;
        size_t begin = *i, ours = SIZE_MAX;
        int r = 0;

        for (; *i < c->actual->n_routes && route_key_compare(&actual[*i], should) == 0; ++*i)
                if (route_compare(&actual[*i], should) == 0)
                        ours = *i;
        if (ours == SIZE_MAX)
                r = add_route(c, should);
        for (size_t j = begin; r >= 0 && *i - begin > 1 && j < *i; j++) {
                bool alike = is_hit_alike(&actual[j], should);

                if (j == ours || (alike && ours == SIZE_MAX))
                        continue;
                r = delete_extra(c, &actual[j]);
                if (r >= 0 && alike)
                        r = delete_extra(c, &actual[j]);
        }
        return r;
}

static int compare_routes(struct comparison *c)
{
        const struct fib *actual = c->actual, *wanted = c->wanted;
        size_t i = 0, j = 0;
        int r = 0;

        while (r >= 0 && (i < actual->n_routes || j < wanted->n_routes)) {
                int order = i == actual->n_routes ? 1
                            : j == wanted->n_routes
                                    ? -1
                                    : route_key_compare(&actual->routes[i], &wanted->routes[j]);

                if (order < 0)
                        r = delete_route(c, &actual->routes[i++]);
                else if (order > 0)
                        r = add_route(c, &wanted->routes[j++]);
                else
                        r = compare_same_key(c, &i, &wanted->routes[j++]);
        }
        return r;
}

/* Longest first; the twin (the worst metric), the sink, the device route. */
static int compare_additions(const struct route *a, const struct route *b)
{
        if (a->destination.length != b->destination.length)
                return (int)b->destination.length - (int)a->destination.length;
        return -route_key_compare(a, b);
}

/* Shortest first; the device route, the sink, the twin. */
static int compare_deletions(const struct route *a, const struct route *b)
{
        if (a->destination.length != b->destination.length)
                return (int)a->destination.length - (int)b->destination.length;
        return route_key_compare(a, b);
}

static int compare_steps(const void *x, const void *y)
{
        const struct step *a = x, *b = y;

        if (a->phase != b->phase)
                return (int)a->phase - (int)b->phase;
        switch (a->kind) {
        case STEP_REPLACE_ROUTE: return compare_additions(&a->route, &b->route);
        case STEP_DELETE_ROUTE: return compare_deletions(&a->route, &b->route);
        default: return rule_compare(&a->rule, &b->rule);
        }
}

static bool looks_up(const struct fib *fib, int family, uint32_t table)
{
        for (size_t i = 0; i < fib->n_rules; i++)
                if (fib->rules[i].family == family && fib->rules[i].table == table)
                        return true;
        return false;
}

int policy_diff(const struct layout *layouts, size_t n_layouts, int family,
        const struct fib *actual, const struct fib *wanted, struct steps *ret)
{
        struct comparison c = {
                .layouts = layouts,
                .n_layouts = n_layouts,
                .family = family,
                .actual = actual,
                .wanted = wanted,
                .steps = ret,
                .pods_looked_up =
                        looks_up(actual, family, layout_table(&layouts[0], LAYOUT_TABLE_PODS)),
        };
        int r = compare_rules(&c);

        if (r >= 0)
                r = compare_routes(&c);
        if (r < 0) {
                steps_deinit(ret);
                return r;
        }
        if (ret->n > 0)
                qsort(ret->items, ret->n, sizeof(ret->items[0]), compare_steps);
        return 0;
}

static bool weakens(const struct step *step)
{
        if (step->phase == PHASE_DELETE_PODS_ALIENS || step->phase == PHASE_DELETE_NODES_ALIENS)
                return false; /* holes in what is wanted */
        return step->kind == STEP_DELETE_RULE || step->kind == STEP_DELETE_ROUTE ||
               step->phase == PHASE_ADD_PODS_THROWS;
}

void steps_keep_what_stands(struct steps *steps)
{
        size_t kept = 0;

        for (size_t i = 0; i < steps->n; i++)
                if (!weakens(&steps->items[i]))
                        steps->items[kept++] = steps->items[i];
        steps->n = kept;
}

void steps_deinit(struct steps *steps)
{
        free(steps->items);
        *steps = (struct steps){};
}
