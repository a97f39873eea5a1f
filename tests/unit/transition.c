#include "transition.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "policy/complement.h"
#include "test.h"

struct met met;

bool is_steered(struct model_result result)
{
        return result.way != MODEL_MAIN;
}

/* Not of an exempt address in a complement table. */
static bool is_local_throw(const struct route *route, const struct world *world)
{
        return route->type == RTN_THROW &&
               route->table < world->settings->table_base + LAYOUT_TABLE_COMPLEMENT;
}

bool under_changing_throw(
        const struct world *before, const struct world *after, const struct address *destination)
{
        const struct world *sides[] = {before, after};

        for (int side = 0; side < 2; side++) {
                const struct fib *mine = &sides[side]->wanted, *other = &sides[1 - side]->wanted;

                for (size_t i = 0; i < mine->n_routes; i++) {
                        bool found = false;

                        if (!is_local_throw(&mine->routes[i], sides[side]) ||
                                !prefix_contains(&mine->routes[i].destination, destination))
                                continue;
                        for (size_t j = 0; j < other->n_routes; j++)
                                if (is_local_throw(&other->routes[j], sides[1 - side]) &&
                                        prefix_equal(&other->routes[j].destination,
                                                &mine->routes[i].destination))
                                        found = true;
                        if (!found)
                                return true;
                }
        }
        return false;
}

unsigned long ways_back;
bool refuses;
bool damaged;
static bool rules_lost; /* the former */
static struct model_result answers_before[FLOWS], answers_after[FLOWS];
/* Steered before and after: to stay so. Exempt before and after: to stay in main. */
static bool kept_steered[FLOWS], kept_plain[FLOWS];

void answer_all(const struct fib *fib, int family, struct model_result *ret)
{
        for (unsigned i = 0; i < FLOWS; i++) {
                struct flow flow = flow_number(family, i);

                ret[i] = model_lookup(fib, &flow);
        }
}

bool is_exempt(const struct world *world, const struct flow *flow)
{
        struct policy_input input = input_of(world, NULL);

        return policy_verdict(&input, flow).reason == VERDICT_EXEMPT;
}

static size_t count_rules(const struct fib *fib, uint8_t action)
{
        size_t n = 0;

        for (size_t i = 0; i < fib->n_rules; i++)
                n += fib->rules[i].action == action;
        return n;
}

/*
 * From one band to another there is no promise against a lock-out where they overlap and there are
 * gotos (diff.c (7)), or where somebody deleted an exemption of the old band.
 */
static bool may_lock_out(
        const struct fib *kernel, const struct world *before, const struct world *after)
{
        uint32_t a = before->settings->priority_base, b = after->settings->priority_base;

        if (a == b)
                return false;
        return rules_lost ||
               ((a > b ? a - b : b - a) < LAYOUT_PRIORITIES &&
                       count_rules(kernel, FR_ACT_GOTO) + count_rules(&after->wanted, FR_ACT_GOTO) >
                               0);
}

static void expect(const struct fib *kernel, int family, const struct world *before,
        const struct world *after, bool complete)
{
        bool lock_out = may_lock_out(kernel, before, after);

        answer_all(kernel, family, answers_before);
        answer_all(&after->wanted, family, answers_after);
        for (unsigned i = 0; i < FLOWS; i++) {
                struct flow flow = flow_number(family, i);
                bool under_throw = under_changing_throw(before, after, &flow.destination);

                /* Without complete knowledge an old throw stays, and a new exemption is let in. */
                kept_steered[i] = is_steered(answers_before[i]) && is_steered(answers_after[i]) &&
                                  (complete || !under_throw);
                /* A change cut short left some flows exempt early: they have no claim to it yet. */
                kept_plain[i] = !lock_out && answers_before[i].way == MODEL_MAIN &&
                                is_exempt(before, &flow) && is_exempt(after, &flow) && !under_throw;
        }
}

static void check_moment(const struct fib *kernel, int family)
{
        for (unsigned i = 0; i < FLOWS; i++) {
                struct flow flow = flow_number(family, i);
                struct model_result now = model_lookup(kernel, &flow);

                if (kept_steered[i])
                        CHECK(is_steered(now));
                if (kept_plain[i])
                        CHECK(now.way == MODEL_MAIN);
        }
}

/*
 * ARP from there is answered under rp_filter 2 before and after, by the same entry of a table: at
 * every moment between, too.
 */
static void check_way_back(const struct fib *start, const struct fib *now, int family,
        const struct world *before, const struct world *after)
{
        for (uint8_t last = 0; last < 16; last++) {
                struct flow flow = {.destination = address_at(family, last)};
                struct model_result b = model_lookup(start, &flow);
                struct model_result a = model_lookup(&after->wanted, &flow);
                struct model_result n;

                if (b.table == 0 || b.table != a.table ||
                        !prefix_equal(&b.destination, &a.destination) || !model_has_way_back(&b) ||
                        !model_has_way_back(&a) ||
                        under_changing_throw(before, after, &flow.destination))
                        continue;
                n = model_lookup(now, &flow);
                CHECK(model_has_way_back(&n));
                ways_back += n.sunk;
        }
}

static struct fib copy_of(const struct fib *fib)
{
        struct fib copy = {};

        for (size_t i = 0; i < fib->n_rules; i++)
                CHECK(fib_add_rule(&copy, &fib->rules[i]) >= 0);
        for (size_t i = 0; i < fib->n_routes; i++)
                CHECK(fib_add_route(&copy, &fib->routes[i]) >= 0);
        return copy;
}

/* What the kernel holds, and rules of somebody else's that look some complement tables up. */
static struct fib read_back(
        const struct fib *kernel, const struct world *after, int family, uint32_t occupied)
{
        struct fib actual = copy_of(kernel);

        for (uint32_t slot = LAYOUT_TABLE_COMPLEMENT; slot < LAYOUT_TABLES; slot++) {
                struct rule rule = {
                        .family = (uint8_t)family,
                        .action = FR_ACT_TO_TBL,
                        .protocol = RTPROT_STATIC,
                        .priority = after->settings->priority_base + 9,
                        .table = after->settings->table_base + slot,
                        .mark = 77,
                };

                if (occupied & 1u << slot)
                        CHECK(fib_add_rule(&actual, &rule) >= 0);
        }
        fib_sort(&actual);
        return actual;
}

static uint32_t complement_of(const struct fib *fib, const struct segment *segment)
{
        for (size_t i = 0; i < fib->n_rules; i++)
                if (fib->rules[i].action == FR_ACT_TO_TBL && fib->rules[i].ip_protocol != 0 &&
                        fib->rules[i].table != RT_TABLE_MAIN &&
                        fib->rules[i].ip_protocol == segment->protocol &&
                        port_range_contains(&fib->rules[i].dport, segment->ports.first))
                        return fib->rules[i].table;
        return 0;
}

/* Which of the ways that a segment can go are met. */
static void note(const struct fib *kernel, const struct world *after, int family)
{
        struct policy_input input = input_of(after, NULL);
        struct segments segments = {};

        CHECK(segments_cut(after->settings, &segments) >= 0);
        CHECK(segments_select(&segments, &input) >= 0);
        for (size_t i = 0; i < segments.n; i++) {
                uint32_t was = complement_of(kernel, &segments.items[i]),
                         is = complement_of(&after->wanted, &segments.items[i]);
                size_t n =
                        segments.groups[segments.items[i].group].n_addresses[family_index(family)];

                met.to_complement += !was && is;
                met.to_rules += was && !is && n > 0;
                met.stayed += was && was == is;
                met.moved += was && is && was != is;
                met.short_of_tables += !is && n > complement_threshold(&input);
        }
        segments_deinit(&segments);
}

/* Without it our own pods are cut off, and what is exempt there; no order of steps helps. */
static bool throws_local(const struct step *step, const struct world *after)
{
        return step->kind == STEP_REPLACE_ROUTE && is_local_throw(&step->route, after);
}

/* Any step, or rather often one of a complement table; SIZE_MAX: none. */
static size_t draw_refused(const struct steps *steps, const struct world *after)
{
        uint32_t first = after->settings->table_base + LAYOUT_TABLE_COMPLEMENT;
        size_t start, i;
        bool any;

        if (steps->n == 0)
                return SIZE_MAX;
        start = draw((uint32_t)steps->n);
        any = draw(2);
        for (i = start; !any && i < steps->n; i++)
                if ((steps->items[i].kind == STEP_REPLACE_ROUTE ||
                            steps->items[i].kind == STEP_DELETE_ROUTE) &&
                        steps->items[i].route.table >= first)
                        return i;
        return start;
}

/* What is not vital holds nothing up; after what is, the rest of its phase is still done. */
static size_t end_after_refusal(const struct steps *steps, size_t i, size_t limit)
{
        size_t end = i + 1;

        if (!steps->items[i].vital)
                return limit;
        while (end < steps->n && steps->items[end].phase == steps->items[i].phase)
                end++;
        return end < limit ? end : limit;
}

size_t change(struct fib *kernel, int family, const struct world *before, struct world *after,
        size_t limit, bool complete)
{
        struct layout layouts[] = {policy_layout(after->settings), policy_layout(before->settings)};
        uint32_t occupied = !complete || draw(3) ? 0 : draw(2) ? 0x3f8 : 0x3fc;
        struct fib start = copy_of(kernel), actual = read_back(kernel, after, family, occupied);
        struct policy_input input = input_of(after, &actual);
        struct steps steps = {};
        size_t n, refused;

        fib_deinit(&after->wanted);
        CHECK(policy_compute(&input, &after->wanted) >= 0);
        note(kernel, after, family);
        expect(kernel, family, before, after, complete);
        CHECK(policy_diff(layouts, 2, family, &actual, &after->wanted, &steps) >= 0);
        if (!complete)
                steps_keep_what_stands(&steps);
        n = steps.n;
        refused = refuses ? draw_refused(&steps, after) : SIZE_MAX;
        refuses = false;
        for (size_t i = 0; i < n && i < limit; i++) {
                if (i == refused && !throws_local(&steps.items[i], after)) {
                        damaged = true;
                        limit = end_after_refusal(&steps, i, limit);
                        continue;
                }
                CHECK(model_apply(kernel, &steps.items[i]));
                check_moment(kernel, family);
                if (complete && !damaged)
                        check_way_back(&start, kernel, family, before, after);
        }
        damaged &= n > limit || refused != SIZE_MAX;
        rules_lost &= damaged;
        steps_deinit(&steps);
        fib_deinit(&actual);
        fib_deinit(&start);
        return n;
}

void lose_rules(struct fib *kernel)
{
        for (uint32_t n = 1 + draw(2); n > 0 && kernel->n_rules > 0; n--) {
                size_t lost = draw((uint32_t)kernel->n_rules);

                for (size_t i = 0; n > 1 && i < kernel->n_rules; i++)
                        if (kernel->rules[i].action == FR_ACT_NOP)
                                lost = i;
                kernel->rules[lost] = kernel->rules[--kernel->n_rules];
                damaged = rules_lost = true;
        }
}

void leave_litter(struct fib *kernel, const struct world *world, int family)
{
        for (uint32_t n = 8 + draw(16); n > 0; n--) {
                struct address address = address_at(family, (uint8_t)draw(16));
                bool throws = draw(3) > 0, looked_up = false;
                struct step step = {.kind = STEP_REPLACE_ROUTE,
                        .route = {
                                .family = (uint8_t)family,
                                .type = throws ? RTN_THROW : RTN_UNREACHABLE,
                                .protocol = RTPROT_KERNEL,
                                .table = world->settings->table_base + LAYOUT_TABLE_COMPLEMENT +
                                         draw(2),
                                .destination = prefix_from_address(&address),
                                .metric = throws ? ROUTE_METRIC(family) : TWIN_METRIC,
                        }};

                for (size_t i = 0; i < kernel->n_rules; i++)
                        looked_up |= kernel->rules[i].table == step.route.table;
                if (!looked_up)
                        CHECK(model_apply(kernel, &step));
        }
}
