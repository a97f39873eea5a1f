/*
 * What nodecryptorctl prints is made of: tables that fit, times and sizes, warnings.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/human.h"
#include "ctl/table.h"
#include "ctl/warnings.h"
#include "test.h"

static const struct table_column pair[] = {{.right = true}, {.wraps = true}};
static const struct table_column three[] = {
        {.heading = "NAME"}, {.heading = "WORDS", .wraps = true}, {.heading = "N", .right = true}};

static void table_is(struct table *table, size_t width, bool colours, const char *wanted)
{
        struct text_builder builder = {};
        _cleanup_free_ char *text = NULL;

        CHECK_INT(table_format(table, width, colours, &builder), 0);
        CHECK_INT(text_take(&builder, &text), 0);
        CHECK_TEXT(text, wanted);
}

static void tables(void)
{
        struct table table = {.columns = three, .n_columns = 3};

        table_is(&table, 100, false, "NAME  WORDS  N\n");
        table_add(&table, COLOUR_NONE, "one");
        table_add(&table, COLOUR_NONE, "a b c d e f");
        table_add(&table, COLOUR_NONE, "%d", 1234);
        table_add(&table, COLOUR_NONE, "µ");
        table_add(&table, COLOUR_NONE, "two\nlines");
        table_add(&table, COLOUR_NONE, "5");
        table_is(&table, 100, false,
                "NAME  WORDS           N\n"
                "one   a b c d e f  1234\n"
                "µ     two             5\n"
                "      lines\n");
        table_is(&table, 20, false,
                "NAME  WORDS        N\n"
                "one   a b c d   1234\n"
                "      e f\n"
                "µ     two          5\n"
                "      lines\n");
        /* Nothing but the floor is left of what may give way, and words are broken. */
        table_is(&table, 1, false,
                "NAME  WORD     N\n"
                "      S\n"
                "one   a b   1234\n"
                "      c d\n"
                "      e f\n"
                "µ     two      5\n"
                "      line\n"
                "      s\n");
        table_deinit(&table);
}

/* Columns give way down to their longest word, all of them, before a word is broken. */
static void words_stay_whole(void)
{
        static const struct table_column both[] = {{.wraps = true}, {.wraps = true}};
        struct table table = {.columns = both, .n_columns = 2};

        table_add(&table, COLOUR_NONE, "fd00:10:244:1::/64");
        table_add(&table, COLOUR_NONE, "a b c d e f g");
        table_is(&table, 24, false,
                "fd00:10:244:1::/64  a b\n"
                "                    c d\n"
                "                    e f\n"
                "                    g\n");
        table_is(&table, 10, false,
                "fd00:10  a\n"
                ":244:1:  b\n"
                ":/64     c\n"
                "         d\n"
                "         e\n"
                "         f\n"
                "         g\n");
        table_deinit(&table);
}

static void table_colours(void)
{
        struct table table = {.columns = pair, .n_columns = 2};

        table_add(&table, COLOUR_DIM, "State");
        table_add(&table, COLOUR_GOOD, "fine and so on");
        table_add(&table, COLOUR_DIM, "By");
        table_add(&table, COLOUR_NONE, "\033[2Jme\ttoo\177");
        table_is(&table, 100, false,
                "State  fine and so on\n"
                "   By  ?[2Jme?too?\n");
        table_is(&table, 16, true,
                "\033[2mState\033[0m  \033[32mfine and\033[0m\n"
                "       \033[32mso on\033[0m\n"
                "   \033[2mBy\033[0m  ?[2Jme?to\n"
                "       o?\n");
        table_deinit(&table);
}

/* Whatever is in the cells: no line is longer than asked for, and no word is lost. */
static void tables_fit(void)
{
        srandom(1);
        for (int i = 0; i < 2000; i++) {
                struct table table = {.columns = three, .n_columns = 3};
                struct text_builder builder = {};
                char word[64];
                size_t letters = 0, seen = 0, width = 40 + (size_t)random() % 60;

                for (int cell = 0; cell < 9; cell++) {
                        size_t length = (size_t)random() % (cell % 3 == 1 ? 63 : 9);

                        for (size_t k = 0; k < length; k++)
                                word[k] = random() % 6 ? 'x' : ' ';
                        word[length] = '\0';
                        for (size_t k = 0; k < length; k++)
                                letters += word[k] == 'x';
                        table_add(&table, COLOUR_NONE, "%s", word);
                }
                CHECK_INT(table_format(&table, width, false, &builder), 0);
                for (const char *line = builder.text; *line; line += strcspn(line, "\n") + 1)
                        CHECK(strcspn(line, "\n") <= width);
                for (const char *p = builder.text; *p; p++)
                        seen += *p == 'x';
                CHECK_INT(seen, letters);
                text_deinit(&builder);
                table_deinit(&table);
        }
}

static void humans(void)
{
        char text[HUMAN_TEXT_MAX];

        CHECK_TEXT(human_span(0, text), "0 s");
        CHECK_TEXT(human_span(119, text), "119 s");
        CHECK_TEXT(human_span(120, text), "2 min");
        CHECK_TEXT(human_span(3600 + 300, text), "1 h 5 min");
        CHECK_TEXT(human_span(2 * 86400 + 3 * 3600, text), "2 d 3 h");
        CHECK_TEXT(human_age(0, 5, text), "never");
        CHECK_TEXT(human_age(6, 5, text), "just now");
        CHECK_TEXT(human_age(1, 5, text), "4 s ago");
        CHECK(strlen(human_age(1, UINT64_MAX, text)) < HUMAN_TEXT_MAX);
        CHECK_TEXT(human_time(0, text), "never");
        CHECK_TEXT(human_time(1700000000, text), "2023-11-14 22:13:20 UTC");
        CHECK(human_time(UINT64_MAX / 2, text) == text);
        CHECK_TEXT(human_bytes(0, text), "0 B");
        CHECK_TEXT(human_bytes(1023, text), "1023 B");
        CHECK_TEXT(human_bytes(1536, text), "1.5 KiB");
        CHECK_TEXT(human_bytes(UINT64_C(20) << 20, text), "20 MiB");
        CHECK_TEXT(human_bytes(UINT64_MAX, text), "16 EiB");
}

#define GOOD                                                                                   \
        "\"State\":\"enforcing\",\"InSync\":true,\"Device\":\"wg\",\"DevicePresent\":true,"    \
        "\"DeviceUp\":true,\"DeviceMarkKnown\":true,\"Knowledge\":\"api\",\"NodeKnown\":true," \
        "\"NodeName\":\"n\",\"KnowledgeAt\":1000,\"Findings\":[]"

/* The texts of the warnings, "|" behind each. Of a key given twice the last one counts. */
static void warns(const char *status, const char *wanted)
{
        struct json_object *object = json_tokener_parse(status), *list = NULL;
        struct text_builder builder = {};
        _cleanup_free_ char *seen = NULL;

        CHECK(object);
        CHECK_INT(warnings_find(object, 1010, &list), 0);
        text_append(&builder, "%s", "");
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                struct json_object *text, *remedy, *one = json_object_array_get_idx(list, i);

                CHECK(json_object_object_get_ex(one, "Text", &text));
                CHECK(json_object_object_get_ex(one, "Remedy", &remedy));
                text_append(&builder, "%s|", json_object_get_string(text));
        }
        CHECK_INT(text_take(&builder, &seen), 0);
        json_object_put(list);
        json_object_put(object);
        CHECK_TEXT(seen, wanted);
}

static void warnings(void)
{
        warns("{" GOOD "}", "");
        warns("{" GOOD ",\"State\":\"degraded\",\"Reason\":\"why\"}",
                "the kernel is not as it should be: why|");
        warns("{" GOOD ",\"State\":\"observing\"}", "nothing is enforced: mode \"observe\"|");
        warns("{" GOOD ",\"State\":\"observing\",\"ModeOverridden\":true}",
                "nothing is enforced: mode \"observe\", on request|");
        warns("{" GOOD ",\"ModeOverridden\":true}",
                "it is enforced on request only: after a restart the mode is \"observe\"|");
        warns("{" GOOD ",\"DevicePresent\":false}",
                "the device wg is not there: what is steered is not sent in clear, and not sent at "
                "all unless on_tunnel_down says so|");
        warns("{" GOOD ",\"DeviceUp\":false}",
                "the device wg cannot be used: it is down, has no mark yet, or is no WireGuard "
                "device|");
        warns("{" GOOD ",\"DeviceMarkKnown\":false,\"DeviceMark\":3584}",
                "the mark of wg cannot be read, 0xe00 is assumed|");
        warns("{" GOOD ",\"Knowledge\":\"none\"}", "no node is known yet|");
        warns("{" GOOD ",\"KnowledgeAt\":709}",
                "the nodes are as of 5 min ago: those that came since are not known|");
        warns("{" GOOD ",\"KnowledgeAt\":710}", "");
        warns("{" GOOD ",\"NodeKnown\":false}", "this node, n, is not among the CiliumNodes|");
        warns("{" GOOD ",\"NodeKnown\":false,\"NodeName\":\"\"}",
                "this node, whose name is not known, is not among the CiliumNodes|");
        warns("{" GOOD ",\"BadObjects\":2}", "2 CiliumNodes could not be used since the start|");
        warns("{" GOOD ",\"Fight\":\"networkd[7]\"}",
                "what is ours is taken away again and again by networkd[7]|");
        warns("{" GOOD ",\"PeerProblems\":\"1 stale (a)\"}",
                "what is steered to nodes is refused or not answered: 1 stale (a)|");
        warns("{" GOOD ",\"Findings\":[\"one\",\"two %s\"]}", "one|two %s|");
        warns("{" GOOD ",\"HealthError\":\"in use\",\"MetricsError\":\"too\"}",
                "no /healthz and /readyz: in use|no /metrics: too|");
        /* Of an older daemon, or of none that we know: nothing breaks. */
        warns("{\"State\":7,\"Findings\":\"x\",\"DevicePresent\":true,\"DeviceUp\":true,"
              "\"DeviceMarkKnown\":true,\"NodeKnown\":true}",
                "");
}

TEST_MAIN(TEST(tables), TEST(words_stay_whole), TEST(table_colours), TEST(tables_fit), TEST(humans),
        TEST(warnings))
