/*
 * The order of the steps: from one random cluster to another (random_world.h), with exemptions that
 * are served now by rules, now by complement tables; each change looked at after every single step
 * (transition.h).
 */
#include "test.h"
#include "transition.h"

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
                bool is_local = device_has_local(input.device, &flow.destination);
                struct model_result result = model_lookup(&world->wanted, &flow);
                enum model_way expected = verdict.way == WAY_MAIN     ? MODEL_MAIN
                                          : verdict.way == WAY_DEVICE ? MODEL_DEVICE
                                                                      : MODEL_BLOCKED;

                /* The model has no local table, which comes first. */
                if (!is_local)
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

/* Decided by the pod tables, of either side's layout. */
static bool is_by_pods(
        struct model_result result, const struct world *before, const struct world *after)
{
        return result.priority == before->settings->priority_base + LAYOUT_PODS ||
               result.priority == after->settings->priority_base + LAYOUT_PODS;
}

static bool is_by_rule(
        struct model_result result, const struct world *before, const struct world *after)
{
        return result.priority == before->settings->priority_base + LAYOUT_EXEMPTION ||
               result.priority == after->settings->priority_base + LAYOUT_EXEMPTION;
}

/*
 * A start over a kernel that holds a policy, with nodes that may be older than it: nothing that is
 * steered comes free, but for an exemption by a rule. Nothing that is exempt is blocked (where the
 * policy stood `unharmed`), but by what is a pod's now; it need not be exempt in what is wanted.
 */
static void check_standing(const struct fib *kernel, int family, const struct world *before,
        const struct world *after, const struct model_result *stood, bool unharmed)
{
        bool same_band = before->settings->priority_base == after->settings->priority_base;

        for (unsigned i = 0; i < FLOWS; i++) {
                struct flow flow = flow_number(family, i);
                struct model_result now = model_lookup(kernel, &flow);

                if (under_changing_throw(before, after, &flow.destination))
                        continue;
                if (is_steered(stood[i]) && !is_steered(now))
                        CHECK(is_by_rule(now, before, after));
                if (unharmed && same_band && is_exempt(before, &flow) && is_steered(now))
                        CHECK(is_by_pods(now, before, after));
        }
}

static void what_stands(int family, unsigned rounds)
{
        static struct model_result stood[FLOWS];

        for (unsigned round = 0; round < rounds; round++) {
                struct world worlds[2] = {};
                struct fib kernel = {};
                bool unharmed;

                draw_world(&worlds[0], NULL, family);
                draw_world(&worlds[1], &worlds[0], family);
                change(&kernel, family, &worlds[0], &worlds[0], SIZE_MAX, true);
                if (draw(3) == 0)
                        lose_rules(&kernel);
                if (draw(3) == 0)
                        leave_litter(&kernel, &worlds[1], family);
                unharmed = !damaged && kernel.n_rules > 0;
                answer_all(&kernel, family, stood);
                change(&kernel, family, &worlds[0], &worlds[1], SIZE_MAX, false);
                check_standing(&kernel, family, &worlds[0], &worlds[1], stood, unharmed);
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
                leave_litter(&kernel, &world, family);
                change(&kernel, family, &world, &world, SIZE_MAX, false);
                check_same(&kernel, &world.wanted);
                fib_deinit(&kernel);
                world_deinit(&world);
        }
}

static void nothing_weakens_without_knowledge(void)
{
        first_start(AF_INET, 50);
        what_stands(AF_INET, 250);
        what_stands(AF_INET6, 100);
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
