/*
 * The order of the steps: from one random cluster to another (random_world.h), with exemptions that
 * are served now by rules, now by complement tables. After every single step of every change each
 * flow is looked up in a model of the kernel.
 */
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "fib_model.h"
#include "policy/complement.h"
#include "random_world.h"
#include "test.h"

/* How often each was met: what never happens is not tested. */
static struct {
        unsigned to_complement, to_rules, stayed, moved, short_of_tables;
} met;

static bool is_steered(struct model_result result)
{
        return result.way != MODEL_MAIN;
}

/* Not of an exempt address in a complement table. */
static bool is_local_throw(const struct route *route, const struct world *world)
{
        return route->type == RTN_THROW &&
               route->table < world->settings->table_base + LAYOUT_TABLE_COMPLEMENT;
}

/* Own pods and exclusions differ and hold the destination: diff.c (5) promises no more than no
 * leak. */
static bool under_changing_throw(
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

static unsigned long ways_back; /* looked at, through a sink */
static bool refuses;            /* in the next change there is a step that the kernel will not do */
static bool damaged;            /* somebody deleted rules, or the kernel refused a step */
static bool rules_lost;         /* the former */
static struct model_result answers_before[FLOWS], answers_after[FLOWS];
/* Steered before and after: to stay so. Exempt before and after: to stay in main. */
static bool kept_steered[FLOWS], kept_plain[FLOWS];

static void answer_all(const struct fib *fib, int family, struct model_result *ret)
{
        for (unsigned i = 0; i < FLOWS; i++) {
                struct flow flow = flow_number(family, i);

                ret[i] = model_lookup(fib, &flow);
        }
}

static bool is_exempt(const struct world *world, const struct flow *flow)
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

/*
 * Takes the kernel from where it is to `after`, looking at every moment; stops after `limit` steps.
 * Without complete knowledge, what stands is kept. Returns how many steps there were to do.
 */
static size_t change(struct fib *kernel, int family, const struct world *before,
        struct world *after, size_t limit, bool complete)
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

static void check_same(struct fib *kernel, const struct fib *wanted)
{
        fib_sort(kernel);
        CHECK_INT(kernel->n_rules, wanted->n_rules);
        CHECK_INT(kernel->n_routes, wanted->n_routes);
        for (size_t i = 0; i < wanted->n_rules; i++)
                CHECK(rule_compare(&kernel->rules[i], &wanted->rules[i]) == 0);
        for (size_t i = 0; i < wanted->n_routes; i++)
                CHECK(route_compare(&kernel->routes[i], &wanted->routes[i]) == 0);
}

static void check_oracle(const struct world *world, int family)
{
        struct policy_input input = input_of(world, NULL);

        for (unsigned i = 0; i < FLOWS; i++) {
                struct flow flow = flow_number(family, i);
                struct verdict verdict = policy_verdict(&input, &flow);
                struct model_result result = model_lookup(&world->wanted, &flow);
                enum model_way expected = verdict.way == WAY_MAIN     ? MODEL_MAIN
                                          : verdict.way == WAY_DEVICE ? MODEL_DEVICE
                                                                      : MODEL_BLOCKED;

                CHECK_INT(result.way, expected);
        }
}

/* The device and the sink come and go, and nothing else changes. */
static void flip_device(struct fib *kernel, int family, struct world *world)
{
        struct world flipped = *world;

        flipped.device.usable = draw(2);
        flipped.device.ifindex = 7 + draw(2);
        flipped.device.sink = draw(3) ? 20 + draw(2) : 0;
        flipped.wanted = (struct fib){};
        change(kernel, family, world, &flipped, SIZE_MAX, true);
        check_same(kernel, &flipped.wanted);
        change(kernel, family, &flipped, world, SIZE_MAX, true);
        fib_deinit(&flipped.wanted);
}

/* Somebody deleted one or two rules; END is the one that counts most. */
static void lose_rules(struct fib *kernel)
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

/* What a change cut short may have left in tables that nothing looks up. */
static void leave_litter(struct fib *kernel, const struct world *world, int family)
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

static void run_changes(int family, unsigned rounds)
{
        ways_back = 0;
        for (unsigned round = 0; round < rounds; round++) {
                struct world worlds[3] = {};
                struct fib kernel = {};

                for (int i = 0; i < 3; i++) {
                        draw_world(&worlds[i], i > 0 ? &worlds[i - 1] : NULL, family);
                        check_oracle(&worlds[i], family);
                }
                /* First programming; a change; a change cut short and begun again from there. */
                change(&kernel, family, &worlds[0], &worlds[0], SIZE_MAX, true);
                check_same(&kernel, &worlds[0].wanted);
                if (draw(2))
                        leave_litter(&kernel, &worlds[1], family);
                if (draw(3) == 0)
                        lose_rules(&kernel);
                change(&kernel, family, &worlds[0], &worlds[1], SIZE_MAX, true);
                check_same(&kernel, &worlds[1].wanted);
                check_oracle(&worlds[1], family);
                flip_device(&kernel, family, &worlds[1]);
                if (draw(2))
                        leave_litter(&kernel, &worlds[2], family);
                refuses = draw(2);
                change(&kernel, family, &worlds[1], &worlds[2], refuses ? SIZE_MAX : draw(24),
                        true);
                if (draw(4) == 0)
                        lose_rules(&kernel);
                change(&kernel, family, &worlds[1], &worlds[2], SIZE_MAX, true);
                check_same(&kernel, &worlds[2].wanted);
                check_oracle(&worlds[2], family);
                fib_deinit(&kernel);
                for (int i = 0; i < 3; i++)
                        world_deinit(&worlds[i]);
        }
        /* Without any the check would be empty; IPv6 has no sinks. */
        CHECK_INT(ways_back > 0, family == AF_INET);
        printf("# %u rounds, %u flows at every step, %lu ways back through a sink\n", rounds, FLOWS,
                ways_back);
        printf("# segments that went to a table %u, back to rules %u, stayed in their table %u, "
               "moved to another %u, found none free %u\n",
                met.to_complement, met.to_rules, met.stayed, met.moved, met.short_of_tables);
        CHECK(met.to_complement > 0 && met.to_rules > 0 && met.stayed > 0 && met.moved > 0 &&
                met.short_of_tables > 0);
}

/*
 * A start over a kernel that holds a policy, with nodes that may be older than it: nothing that is
 * steered comes free, but for an exemption by a rule; nothing that is exempt in both is blocked.
 */
static void check_standing(const struct fib *kernel, int family, const struct world *before,
        const struct world *after, const struct model_result *stood)
{
        for (unsigned i = 0; i < FLOWS; i++) {
                struct flow flow = flow_number(family, i);
                struct model_result now = model_lookup(kernel, &flow);
                bool by_rule = now.priority == before->settings->priority_base + LAYOUT_EXEMPTION ||
                               now.priority == after->settings->priority_base + LAYOUT_EXEMPTION;

                if (is_steered(stood[i]) && !is_steered(now))
                        CHECK(by_rule || under_changing_throw(before, after, &flow.destination));
        }
}

static void what_stands(int family, unsigned rounds)
{
        static struct model_result stood[FLOWS];

        for (unsigned round = 0; round < rounds; round++) {
                struct world worlds[2] = {};
                struct fib kernel = {};

                draw_world(&worlds[0], NULL, family);
                draw_world(&worlds[1], &worlds[0], family);
                change(&kernel, family, &worlds[0], &worlds[0], SIZE_MAX, true);
                if (draw(3) == 0)
                        lose_rules(&kernel);
                if (draw(3) == 0)
                        leave_litter(&kernel, &worlds[1], family);
                answer_all(&kernel, family, stood);
                change(&kernel, family, &worlds[0], &worlds[1], SIZE_MAX, false);
                check_standing(&kernel, family, &worlds[0], &worlds[1], stood);
                /* And that is all of it. */
                CHECK_INT(change(&kernel, family, &worlds[0], &worlds[1], 0, false), 0);
                change(&kernel, family, &worlds[0], &worlds[1], SIZE_MAX, true);
                check_same(&kernel, &worlds[1].wanted);
                fib_deinit(&kernel);
                for (int i = 0; i < 2; i++)
                        world_deinit(&worlds[i]);
        }
}

/* Over an empty kernel there is nothing to keep, and the exemptions are as due as the rest. */
static void first_start(int family, unsigned rounds)
{
        for (unsigned round = 0; round < rounds; round++) {
                struct world world = {};
                struct fib kernel = {};

                draw_world(&world, NULL, family);
                change(&kernel, family, &world, &world, SIZE_MAX, false);
                check_same(&kernel, &world.wanted);
                fib_deinit(&kernel);
                world_deinit(&world);
        }
}

static void nothing_weakens_without_knowledge(void)
{
        first_start(AF_INET, 50);
        what_stands(AF_INET, 100);
        what_stands(AF_INET6, 50);
}

static void every_moment_v4(void)
{
        run_changes(AF_INET, 250);
}

static void every_moment_v6(void)
{
        run_changes(AF_INET6, 150);
}

TEST_MAIN(TEST(every_moment_v4), TEST(every_moment_v6), TEST(nothing_weakens_without_knowledge))
