/*
 * The order of the steps, and why it keeps the invariants between any two of them.
 *
 * A flow is decided by five components in a row: P, the lookup in the pod tables (steered or
 * passed on); E, the exemption rules (main or passed on); C, the lookup in the complement table of
 * its port (steered or passed on); G, the goto of its port (past N, to main; it holds only while
 * END is there, else the kernel passes it over); N, the lookup in the node tables.
 *
 *   steered = P or (not E and (C or (not G and N)))
 *
 * A flow that is not steered is exempt by E, or by G and not C. Write b for before the change and a
 * for after it. Required at every moment: a flow steered before and after is steered (no
 * plaintext); a flow exempt before and after is not steered (no lock-out).
 *
 * 1. Each component alone never gives an answer that is neither its "before" nor its "after".
 *    In a table the longest prefix decides, so new entries come longest first (a new entry is met
 *    only when the longer new ones are there) and old ones go shortest first (an old entry still
 *    decides only where it decided before). A twin comes before its sink (struct device) and that
 *    before the device route, and they go in reverse: each alone lets nothing out in clear. A throw
 *    beside a twin comes before it and goes after it. An entry whose key stays (a throw and a
 *    device route have the same) is replaced in one message. Rules are added before old ones of
 *    their kind are deleted.
 * 2. P is strengthened first, while E and N still say "before": a flow of Pa is steered from then
 *    on, a flow of not-Pb that stays steered is held by what held it before.
 * 3. P is weakened last, when the others say "after": a flow of Pb is steered until then, and a
 * flow of not-Pa that stays steered is held by what is to hold it.
 * 4. Between them E and N change. A flow that P never decides, and C and G neither, has not-E
 *    before and after, and N before and after, hence (1) at every moment: steered. A flow that is
 *    exempt before and after is in E at every moment, as new exemptions come before the old go,
 *    and they go only when no old N rule could catch the flow in front of the new exemptions.
 * 5. A weakening of P by a `throw` (our own pods, `exclude`) is late as (3) says, unless nothing
 *    looks the table up yet: then the order inside it is not seen, and the throw comes first, so
 *    that no local pod is cut off for a moment. Under a throw that changes together with what
 *    covers it, an exempt address may be blocked between two messages; nothing is ever in clear.
 * 6. The device's own packets: the way to main is added before, and deleted after, its guard.
 * 7. C and G. A port has C and G both, or neither, in all that is wanted; so Gb and steered is Cb,
 *    and Ga and steered is Ca. A complement table is either one that rules look up for the same
 *    ports before and after: it goes from Cb to Ca as in (1). Or one that no rule looks up
 *    (complement.h): it is all there, and nothing else in it, before its rules are added, and
 *    C = old or new table until the old one's rules go; then that is emptied. So C is one component
 *    too, if tables are filled and cleared, rules added, rules deleted, old tables emptied, in this
 *    order. A flow steered by
 *    - N before, C after: G must not hold before C does. G comes after C is complete, and N is
 *      weakened later still.
 *    - C before, N after: C must not go while G holds. N is strengthened, G deleted, and END, and
 *      only then C.
 *    - C before and after: C holds throughout, whatever G and N do.
 *    A flow exempt by
 *    - E before, G after: E is deleted when G holds and C has its "after", which is not to steer.
 *    - G before, E after: E is there before anything else changes.
 *    - G before and after: C never steers; the old G goes when the new one holds.
 *    A new N rule (another layout) comes after the new E and G, an old one goes before the old ones
 *    do, as in (4): it could catch what they exempt. A band that overlaps an older one is the
 *    exception: a goto may then lead past an exemption, or in front of an N rule of the other band,
 *    and block an exempt flow between two messages. It never opens anything: who meets a goto at
 *    all has passed C.
 * 8. Gotos whose END is missing are passed over. Those that are not wanted go first of all: with
 *    END, which is vital to the others, they would hold again.
 *
 * `vital` steps are those whose absence would make a later one a hole, or a lock-out. While our
 * knowledge may be older than the kernel (steps_keep_what_stands()), nothing weakens: a goto (or
 * END) does where an N rule stands, a throw in a complement table that is looked up does, and what
 * takes the place of such a throw, or a new C, does to the exempt; a new N rule waits for the gotos
 * that are not added. What is in a table that nothing looks up weakens nothing.
 */
#include "policy/diff.h"

#include <linux/rtnetlink.h>

#include "policy/shape.h"

enum phase {
        PHASE_DELETE_DEAD_GOTOS, /* (8) */
        PHASE_ADD_MARK,
        PHASE_ADD_MARK_GUARD,
        PHASE_STRENGTHEN_PODS,    /* (2) */
        PHASE_DELETE_PODS_ALIENS, /* what others put into what we steer */
        PHASE_DELETE_PODS_THROWS,
        PHASE_ADD_PODS_RULE,
        PHASE_ADD_EXEMPTIONS,   /* (4) */
        PHASE_FILL_COMPLEMENTS, /* (7) */
        PHASE_CLEAR_COMPLEMENTS,
        PHASE_ADD_COMPLEMENT_RULES,
        PHASE_ADD_END,
        PHASE_ADD_GOTOS,
        PHASE_ADD_NODES,
        PHASE_DELETE_NODES_ALIENS,
        PHASE_ADD_NODES_RULE,
        PHASE_DELETE_NODES_RULE,
        PHASE_DELETE_GOTOS,
        PHASE_DELETE_END,
        PHASE_DELETE_COMPLEMENT_RULES,
        PHASE_EMPTY_COMPLEMENTS,
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
        bool nodes_looked_up; /* there is an N rule, of any layout */
        /* Of the first layout, by number: looked up by the kernel's rules, and by the wanted. */
        bool table_looked_up[LAYOUT_TABLES];
        bool table_wanted[LAYOUT_TABLES];
};

/* Which tables of the first layout the rules look up. */
static void find_looked_up(
        const struct comparison *c, const struct fib *fib, bool ret[static LAYOUT_TABLES])
{
        for (size_t i = 0; i < fib->n_rules; i++)
                if (fib->rules[i].family == c->family &&
                        layout_has_table(&c->layouts[0], fib->rules[i].table))
                        ret[fib->rules[i].table - c->layouts[0].table_base] = true;
}

static bool has_priority(const struct fib *fib, int family, uint32_t priority)
{
        for (size_t i = 0; i < fib->n_rules; i++)
                if (fib->rules[i].family == family && fib->rules[i].priority == priority)
                        return true;
        return false;
}

static bool has_nodes_rule(const struct comparison *c)
{
        for (size_t i = 0; i < c->actual->n_rules; i++)
                if (c->actual->rules[i].family == c->family &&
                        rule_shape(c->layouts, c->n_layouts, &c->actual->rules[i]) == SHAPE_NODES)
                        return true;
        return false;
}

static enum phase phase_to_add_rule(enum shape shape)
{
        switch (shape) {
        case SHAPE_MARK: return PHASE_ADD_MARK;
        case SHAPE_MARK_GUARD: return PHASE_ADD_MARK_GUARD;
        case SHAPE_PODS: return PHASE_ADD_PODS_RULE;
        case SHAPE_EXEMPTION: return PHASE_ADD_EXEMPTIONS;
        case SHAPE_COMPLEMENT: return PHASE_ADD_COMPLEMENT_RULES;
        case SHAPE_END: return PHASE_ADD_END;
        case SHAPE_GOTO: return PHASE_ADD_GOTOS;
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
        case SHAPE_COMPLEMENT: return PHASE_DELETE_COMPLEMENT_RULES;
        case SHAPE_END: return PHASE_DELETE_END;
        case SHAPE_GOTO: return PHASE_DELETE_GOTOS;
        default: return PHASE_DELETE_NODES_RULE;
        }
}

/* True when the kernel has a goto for the segment of the rule, and no C in front of it: a hole. */
static bool closes_hole(const struct comparison *c, const struct rule *rule)
{
        bool jumps = false;

        for (size_t i = 0; i < c->actual->n_rules; i++) {
                const struct rule *other = &c->actual->rules[i];
                enum shape shape = rule_shape(c->layouts, c->n_layouts, other);

                if (other->family != rule->family || other->ip_protocol != rule->ip_protocol ||
                        other->dport.first != rule->dport.first ||
                        other->dport.last != rule->dport.last)
                        continue;
                if (shape == SHAPE_COMPLEMENT)
                        return false;
                jumps |= shape == SHAPE_GOTO;
        }
        return jumps;
}

static bool waits_for_knowledge(
        const struct comparison *c, const struct rule *rule, enum shape shape)
{
        return c->nodes_looked_up && (shape == SHAPE_END || shape == SHAPE_GOTO ||
                                             (shape == SHAPE_COMPLEMENT && !closes_hole(c, rule)));
}

static int add_rule(struct comparison *c, const struct rule *rule)
{
        enum shape shape = rule_shape(c->layouts, c->n_layouts, rule);
        struct step step = {
                .kind = STEP_ADD_RULE,
                .phase = phase_to_add_rule(shape),
                .vital = true,
                .weakens = waits_for_knowledge(c, rule, shape),
                .rule = *rule,
        };

        return rule->family == c->family ? steps_add(c->steps, &step) : 0;
}

/*
 * A rule of the kernel that is not wanted, or is there once too often. Left behind while what comes
 * later goes, a goto would be a hole, and so would an old exemption in front of the new P; an old C
 * or N would be a lock-out, and the device's guard without the way to main as well.
 */
static int delete_rule(struct comparison *c, const struct rule *rule)
{
        enum shape shape = rule_shape(c->layouts, c->n_layouts, rule);
        struct step step = {
                .kind = STEP_DELETE_RULE,
                .phase = phase_to_delete_rule(shape),
                .vital = true,
                .weakens = true,
                .rule = *rule,
        };

        if (rule->family != c->family || shape == SHAPE_ALIEN)
                return 0;
        if (shape == SHAPE_GOTO && !has_priority(c->actual, c->family, rule->target)) {
                step.phase = PHASE_DELETE_DEAD_GOTOS;
                step.weakens = false;
        }
        return steps_add(c->steps, &step);
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

/* A complement table of the wanted policy; others are emptied when nothing looks them up. */
static bool in_wanted_complement(const struct comparison *c, const struct route *route)
{
        return route_in_complement_table(c->layouts, 1, route) &&
               c->table_wanted[route->table - c->layouts[0].table_base];
}

/* Of a route in a complement table of the first layout: what is done to it is seen at once. */
static bool is_looked_up(const struct comparison *c, const struct route *route)
{
        return c->table_looked_up[route->table - c->layouts[0].table_base];
}

static bool is_throw(const struct comparison *c, const struct route *route)
{
        return route_shape(c->layouts, c->n_layouts, route) == SHAPE_THROW;
}

/* `replaced` is what has the key now; NULL: nothing has. */
static void judge_complement_addition(const struct comparison *c, const struct route *route,
        const struct route *replaced, struct step *step)
{
        bool throws = is_throw(c, route);
        bool device = replaced && route_shape(c->layouts, c->n_layouts, replaced) == SHAPE_DEVICE;

        step->phase = PHASE_FILL_COMPLEMENTS;
        /* A device route that is missing has its twin; a throw left in its place would be a hole,
         * and one that is missing a lock-out. */
        step->vital = throws || route_is_twin(route) || (replaced && !device);
        step->weakens = is_looked_up(c, route) && (throws || (replaced && is_throw(c, replaced)));
}

static int add_route(struct comparison *c, const struct route *route, const struct route *replaced)
{
        struct step step = {
                .kind = STEP_REPLACE_ROUTE,
                .phase = PHASE_ADD_NODES,
                .vital = route_is_twin(route),
                .route = *route,
        };

        if (route->family != c->family)
                return 0;
        if (route_in_pods_table(c->layouts, 1, route)) {
                step.weakens = is_throw(c, route) && c->table_looked_up[LAYOUT_TABLE_PODS];
                step.phase = step.weakens ? PHASE_ADD_PODS_THROWS : PHASE_STRENGTHEN_PODS;
        } else if (route_in_complement_table(c->layouts, 1, route)) {
                judge_complement_addition(c, route, replaced, &step);
        }
        return steps_add(c->steps, &step);
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

static enum phase phase_to_delete_alien(const struct comparison *c, const struct route *route)
{
        if (route_in_pods_table(c->layouts, c->n_layouts, route))
                return PHASE_DELETE_PODS_ALIENS;
        return in_wanted_complement(c, route) ? PHASE_CLEAR_COMPLEMENTS : PHASE_DELETE_NODES_ALIENS;
}

static enum phase phase_to_delete_route(
        const struct comparison *c, const struct route *route, enum shape shape)
{
        if (in_wanted_complement(c, route))
                return PHASE_CLEAR_COMPLEMENTS;
        if (!route_in_pods_table(c->layouts, c->n_layouts, route))
                return route_in_complement_table(c->layouts, c->n_layouts, route)
                               ? PHASE_EMPTY_COMPLEMENTS
                               : PHASE_DELETE_NODES;
        /* A throw in a table that we leave goes with it, when no rule of ours looks it up. */
        return shape == SHAPE_THROW && route_in_pods_table(c->layouts, 1, route)
                       ? PHASE_DELETE_PODS_THROWS
                       : PHASE_WEAKEN_PODS;
}

/* A route of the kernel whose key is not wanted. */
static int delete_route(struct comparison *c, const struct route *route)
{
        enum shape shape = route_shape(c->layouts, c->n_layouts, route);
        struct step step = {
                .kind = STEP_DELETE_ROUTE,
                .weakens = shape != SHAPE_ALIEN, /* those are holes in what is wanted */
                .route = *route,
        };

        if (route->family != c->family)
                return 0;
        if (shape == SHAPE_ALIEN && !is_steered(c, route))
                return 0;
        step.phase = shape == SHAPE_ALIEN ? phase_to_delete_alien(c, route)
                                          : phase_to_delete_route(c, route, shape);
        if (step.phase == PHASE_CLEAR_COMPLEMENTS) {
                /* Left in front of the goto, they would be holes. */
                step.vital = shape == SHAPE_ALIEN || shape == SHAPE_THROW;
        }
        if (shape != SHAPE_ALIEN && route_in_complement_table(c->layouts, 1, route))
                step.weakens = is_looked_up(c, route);
        return steps_add(c->steps, &step);
}

/* What somebody put beside a route of ours under the same key. */
static int delete_extra(struct comparison *c, const struct route *route)
{
        struct step step = {
                .kind = STEP_DELETE_ROUTE,
                .phase = phase_to_delete_alien(c, route),
                .vital = in_wanted_complement(c, route),
                .route = *route,
        };

        return route->family == c->family ? steps_add(c->steps, &step) : 0;
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
                r = add_route(c, should, &actual[begin]);
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
                        r = add_route(c, &wanted->routes[j++], NULL);
                else
                        r = compare_same_key(c, &i, &wanted->routes[j++]);
        }
        return r;
}

/* An N rule in a new place would catch what the gotos that have to wait are to exempt. */
static void hold_nodes_rule_back(struct steps *steps)
{
        bool waits = false;

        for (size_t i = 0; i < steps->n; i++)
                waits |= steps->items[i].kind == STEP_ADD_RULE && steps->items[i].weakens;
        for (size_t i = 0; waits && i < steps->n; i++)
                if (steps->items[i].phase == PHASE_ADD_NODES_RULE)
                        steps->items[i].weakens = true;
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
        };
        int r;

        find_looked_up(&c, actual, c.table_looked_up);
        find_looked_up(&c, wanted, c.table_wanted);
        c.nodes_looked_up = has_nodes_rule(&c);
        r = compare_rules(&c);
        if (r >= 0)
                r = compare_routes(&c);
        if (r < 0) {
                steps_deinit(ret);
                return r;
        }
        hold_nodes_rule_back(ret);
        steps_sort(ret);
        return 0;
}
