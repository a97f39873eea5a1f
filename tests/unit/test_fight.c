/*
 * When it is a fight, when it is over, and what the journal says of others' changes.
 */
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "basics/log.h"
#include "daemon/foreign_story.h"
#include "test.h"

#define SECOND UINT64_C(1000000)
#define BEGIN  (1000 * SECOND)

/* What was logged since the last call. */
static const char *logged(void)
{
        static char text[16384];
        ssize_t n = pread(STDERR_FILENO, text, sizeof(text) - 1, 0);

        text[n > 0 ? n : 0] = '\0';
        CHECK(ftruncate(STDERR_FILENO, 0) == 0 && lseek(STDERR_FILENO, 0, SEEK_SET) == 0);
        return text;
}

static size_t lines(const char *text)
{
        size_t n = 0;

        for (; *text; text++)
                n += *text == '\n';
        return n;
}

static struct foreign_change rule_change(uint32_t table)
{
        return (struct foreign_change){
                .deleted = true,
                .is_rule = true,
                .port_id = 0x7fffffff,
                .rule = {.family = AF_INET,
                        .action = FR_ACT_TO_TBL,
                        .protocol = RTPROT_KERNEL,
                        .priority = 204,
                        .table = table},
        };
}

static struct foreign_change route_change(uint8_t last)
{
        struct foreign_change change = {
                .deleted = true,
                .port_id = 0x7fffffff,
                .route = {.family = AF_INET, .type = RTN_UNREACHABLE, .table = 51870},
        };

        change.route.destination =
                (struct prefix){.address = {AF_INET, {10, 0, 0, last}}, .length = 32};
        return change;
}

static void few_are_accidents(void)
{
        struct foreign_change change = rule_change(51871);
        struct fight fight = {};

        for (unsigned i = 0; i + 1 < FIGHT_TIMES; i++)
                CHECK_INT(fight_note(&fight, &change, BEGIN + i * SECOND), FIGHT_NONE);
        /* The window is over: it begins anew. */
        CHECK_INT(fight_note(&fight, &change, BEGIN + FIGHT_WINDOW_USEC), FIGHT_NONE);
        CHECK(!fight.going_on);
        CHECK(!fight_has_ended(&fight, BEGIN + 10 * FIGHT_WINDOW_USEC));
}

static void the_same_object(void)
{
        struct fight fight = {};

        /* A thousand objects, each touched as often as an accident may. */
        for (unsigned times = 0; times + 1 < FIGHT_TIMES; times++)
                for (unsigned i = 0; i < 250; i++) {
                        struct foreign_change change = route_change((uint8_t)i);

                        CHECK_INT(fight_note(&fight, &change, BEGIN), FIGHT_NONE);
                }
        /* Each table of a rule is another object. */
        for (uint32_t table = 1; table < 200; table++) {
                struct foreign_change change = rule_change(table);

                CHECK_INT(fight_note(&fight, &change, BEGIN), FIGHT_NONE);
        }
}

static void begins_and_ends(void)
{
        struct foreign_change change = rule_change(51871), other = route_change(7);
        struct fight fight = {};
        uint64_t now = BEGIN;

        for (unsigned i = 0; i + 1 < FIGHT_TIMES; i++)
                CHECK_INT(fight_note(&fight, &change, now += SECOND), FIGHT_NONE);
        CHECK_INT(fight_note(&fight, &change, now += SECOND), FIGHT_BEGINS);
        CHECK_INT(fight_note(&fight, &other, now), FIGHT_NONE);
        /* It goes on however slowly, as long as nobody has given up. */
        for (unsigned i = 0; i < 100; i++) {
                now += FIGHT_OVER_USEC - 1;
                CHECK(!fight_has_ended(&fight, now));
                CHECK_INT(fight_note(&fight, &change, now), FIGHT_GOES_ON);
        }
        CHECK_INT(fight.changes, 101);
        CHECK(!fight_has_ended(&fight, now + FIGHT_OVER_USEC - 1));
        CHECK(fight_has_ended(&fight, now + FIGHT_OVER_USEC));
        CHECK(!fight_has_ended(&fight, now + FIGHT_OVER_USEC));
        CHECK_INT(fight_note(&fight, &change, now + FIGHT_OVER_USEC), FIGHT_NONE);
}

/* A table that is flushed again and again, with more routes than are counted. */
static void larger_than_the_count(void)
{
        struct fight fight = {};
        bool begun = false;

        for (unsigned times = 0; times < FIGHT_TIMES; times++)
                for (unsigned i = 0; i < 20000; i++) {
                        struct foreign_change change = route_change((uint8_t)i);

                        change.route.destination.address.bytes[2] = (uint8_t)(i >> 8);
                        begun |=
                                fight_note(&fight, &change, BEGIN + times * SECOND) == FIGHT_BEGINS;
                        CHECK(!begun || times + 1 == FIGHT_TIMES);
                }
        CHECK(begun);
}

static void the_journal(void)
{
        struct foreign_change change = rule_change(51871);
        struct foreign_story story = {};
        struct status status = {};
        uint64_t now = BEGIN;

        for (unsigned i = 0; i + 1 < FIGHT_TIMES; i++)
                foreign_story_change(&story, &status, &change, true, now += SECOND);
        CHECK_INT(lines(logged()), FIGHT_TIMES - 1);
        CHECK_TEXT(status.fight, "");
        for (unsigned i = 0; i < 1000; i++)
                foreign_story_change(&story, &status, &change, true, now += SECOND / 100);
        CHECK_HAS(status.fight, "2147483647");
        CHECK_INT(status.totals.fights, 1);
        foreign_story_account(&story, &status);
        CHECK(!foreign_story_peace(&story, &status, now + FIGHT_OVER_USEC - 1));
        CHECK_INT(lines(logged()), 1);
        CHECK(foreign_story_peace(&story, &status, now + FIGHT_OVER_USEC));
        CHECK_HAS(logged(), "over");
        CHECK_TEXT(status.fight, "");
        CHECK(foreign_story_peace(&story, &status, now + 2 * FIGHT_OVER_USEC));
        CHECK_TEXT(logged(), "");
}

/* What was not ours, and what the kernel did itself. */
static void not_a_fight(void)
{
        struct foreign_change change = rule_change(51871);
        struct foreign_story story = {};
        struct status status = {};

        for (unsigned i = 0; i < 100; i++)
                foreign_story_change(&story, &status, &change, false, BEGIN + i * SECOND);
        CHECK_TEXT(status.fight, "");
        change.port_id = 0;
        for (unsigned i = 0; i < 100; i++)
                foreign_story_change(&story, &status, &change, true, BEGIN + i * SECOND);
        CHECK_TEXT(status.fight, "");
        CHECK_INT(status.totals.foreign_changes, 100);
        (void)logged();
}

static void a_flush_is_gathered(void)
{
        struct foreign_story story = {};
        struct status status = {};
        const char *text;

        for (unsigned i = 0; i < 10000; i++) {
                struct foreign_change change = route_change((uint8_t)i);

                change.route.metric = i;
                foreign_story_change(&story, &status, &change, true, BEGIN);
        }
        foreign_story_account(&story, &status);
        foreign_story_account(&story, &status);
        text = logged();
        CHECK(lines(text) <= 30);
        CHECK_HAS(text, "9980 more of these");
        CHECK_INT(status.totals.foreign_changes, 10000);
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {TEST(few_are_accidents), TEST(the_same_object),
                TEST(begins_and_ends), TEST(larger_than_the_count), TEST(the_journal),
                TEST(not_a_fight), TEST(a_flush_is_gathered)};
        int memory = memfd_create("log", MFD_CLOEXEC);

        if (memory < 0 || dup2(memory, STDERR_FILENO) < 0)
                return EXIT_FAILURE;
        log_init("test");
        return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
