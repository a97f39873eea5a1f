/*
 * Framing: the same events and elements whatever the pieces, and nothing from what is not whole.
 */
#include "test.h"

#include <errno.h>
#include <stdlib.h>

#include "basics/text.h"
#include "kube/list_decoder.h"
#include "kube/watch_decoder.h"

/* What the callbacks saw, as a text: names, or "!" for what could not be used. */
struct seen {
        struct text_builder text;
        unsigned n;
        int answer; /* what the callback returns */
};

static int take(void *userdata, struct json_object *object, const struct error *error)
{
        struct seen *seen = userdata;
        struct json_object *name = NULL;

        seen->n++;
        if (object)
                json_object_object_get_ex(object, "name", &name);
        text_append(&seen->text, "%s;", error ? "!" : name ? json_object_get_string(name) : "?");
        return seen->answer;
}

static char *finish(struct seen *seen)
{
        char *text = NULL;

        CHECK(text_take(&seen->text, &text) >= 0);
        return text;
}

/* Feeds the text in two pieces cut at `at`, and the second one byte by byte when asked to. */
static int feed_watch(
        const char *text, size_t size, size_t at, bool bytewise, size_t maximum, char **ret_seen)
{
        struct watch_decoder decoder;
        struct seen seen = {};
        int r;

        watch_decoder_init(&decoder, maximum, take, &seen);
        r = watch_decoder_feed(&decoder, text, at);
        for (size_t i = at; r >= 0 && bytewise && i < size; i++)
                r = watch_decoder_feed(&decoder, text + i, 1);
        if (r >= 0 && !bytewise)
                r = watch_decoder_feed(&decoder, text + at, size - at);
        watch_decoder_deinit(&decoder);
        *ret_seen = finish(&seen);
        return r;
}

static void check_watch(const char *text, const char *wanted)
{
        size_t size = strlen(text);

        for (size_t at = 0; at <= size; at++)
                for (int bytewise = 0; bytewise < 2; bytewise++) {
                        char *seen;
                        int r = feed_watch(text, size, at, bytewise, 0, &seen);
                        bool same = r == 0 && strcmp(seen, wanted) == 0;

                        if (!same)
                                printf("# cut at %zu: %d, \"%s\"\n", at, r, seen);
                        free(seen);
                        CHECK(same);
                }
}

static void watch_events_at_every_split(void)
{
        check_watch("{\"name\":\"a\"}\n{\"name\":\"b\"}\n", "a;b;");
        check_watch("{\"name\":\"a\"}{\"name\":\"b\"}", "a;b;");
        check_watch("\n\r\t {\"name\" : \"gr\xc3\xb6\xc3\x9f"
                    "er \xf0\x9f\x99\x82\"} ",
                "gr\xc3\xb6\xc3\x9f"
                "er \xf0\x9f\x99\x82;");
        check_watch("{\"x\":\"}{\\\"[\\\\\",\"name\":\"q\"}\n{\"name\":\"r\"}", "q;r;");
        check_watch("{\"a\":[[{}],{\"b\":[]}],\"name\":\"deep\"}", "deep;");
}

static void watch_fragment_is_no_event(void)
{
        const char *text = "{\"name\":\"whole\"}\n{\"name\":\"half\"";
        char *seen;

        CHECK_INT(feed_watch(text, strlen(text), 5, false, 0, &seen), 0);
        CHECK_TEXT(seen, "whole;");
        free(seen);
}

static void watch_poison_does_not_stop_the_stream(void)
{
        check_watch("{\"name\":nonsense}\n{\"name\":\"b\"}\n", "!;b;");
        check_watch("{\"name\":\"\xff\xfe\"}\n{\"name\":\"b\"}\n", "!;b;");
        check_watch("{\"name\" \"a\"}\n{,}{\"name\":\"b\"}\n", "!;!;b;");
}

static void watch_refuses_what_is_no_stream(void)
{
        static const char *const texts[] = {
                "<html>", "[{}]", "\"text\"", "{\"a\":1}}", "{\"a\":[}", "{\"a\":\"\n\"}", "null"};
        char *seen;

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                int r = feed_watch(texts[i], strlen(texts[i]), 0, true, 0, &seen);

                free(seen);
                CHECK_INT(r, -EBADMSG);
        }
}

static void watch_bounds(void)
{
        char deep[400], *seen;
        const char *text = "{\"name\":\"a-very-long-name\"}\n{\"name\":\"b\"}";

        /* Too large: dropped while it comes, and the next one counts. */
        for (size_t at = 0; at <= strlen(text); at++) {
                CHECK_INT(feed_watch(text, strlen(text), at, true, 20, &seen), 0);
                CHECK_TEXT(seen, "!;b;");
                free(seen);
        }
        CHECK_INT(feed_watch(text, strlen(text), 0, false, 27, &seen), 0);
        CHECK_TEXT(seen, "a-very-long-name;b;");
        free(seen);

        /* Deeper than json-c takes, and deeper than the outline goes. */
        snprintf(deep, sizeof(deep), "{\"a\":%.*s1%.*s}{\"name\":\"b\"}", 40,
                "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 40,
                "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
        CHECK_INT(feed_watch(deep, strlen(deep), 3, false, 0, &seen), 0);
        CHECK_TEXT(seen, "!;b;");
        free(seen);
        memset(deep, '[', sizeof(deep));
        deep[0] = '{';
        CHECK_INT(feed_watch(deep, sizeof(deep), 0, false, 0, &seen), -E2BIG);
        free(seen);
}

static void watch_callback_ends_it(void)
{
        struct seen seen = {.answer = -ECANCELED};
        struct watch_decoder decoder;
        const char *text = "{\"name\":\"a\"}{\"name\":\"b\"}";
        char *text_seen;

        watch_decoder_init(&decoder, 0, take, &seen);
        CHECK_INT(watch_decoder_feed(&decoder, text, strlen(text)), -ECANCELED);
        watch_decoder_deinit(&decoder);
        text_seen = finish(&seen);
        CHECK_TEXT(text_seen, "a;");
        free(text_seen);
}

/* What a list came to: the elements, then version, token and what finish() said. */
static int feed_list(
        const char *text, size_t size, size_t at, bool bytewise, size_t maximum, char **ret_seen)
{
        struct list_decoder decoder;
        struct seen seen = {};
        int r;

        list_decoder_init(&decoder, maximum, take, &seen);
        r = list_decoder_feed(&decoder, text, at);
        for (size_t i = at; r >= 0 && bytewise && i < size; i++)
                r = list_decoder_feed(&decoder, text + i, 1);
        if (r >= 0 && !bytewise)
                r = list_decoder_feed(&decoder, text + at, size - at);
        if (r >= 0)
                r = list_decoder_finish(&decoder);
        text_append(&seen.text, "%s|%s", decoder.version ? decoder.version : "-",
                decoder.continue_token ? decoder.continue_token : "-");
        list_decoder_deinit(&decoder);
        *ret_seen = finish(&seen);
        return r;
}

static void check_list(const char *text, const char *wanted)
{
        size_t size = strlen(text);

        for (size_t at = 0; at <= size; at++)
                for (int bytewise = 0; bytewise < 2; bytewise++) {
                        char *seen;
                        int r = feed_list(text, size, at, bytewise, 0, &seen);
                        bool same = r == 0 && strcmp(seen, wanted) == 0;

                        if (!same)
                                printf("# cut at %zu: %d, \"%s\"\n", at, r, seen);
                        free(seen);
                        CHECK(same);
                }
}

/* The order of keys that a real server has, another one, and kubectl's layout. */
static void list_at_every_split(void)
{
        check_list("{\"apiVersion\":\"cilium.io/v2\",\"items\":[{\"name\":\"a\"},{\"name\":\"b\"}],"
                   "\"kind\":\"CiliumNodeList\",\"metadata\":{\"continue\":\"\","
                   "\"resourceVersion\":\"7\"}}\n",
                "a;b;7|-");
        check_list(
                "{\"metadata\":{\"resourceVersion\":\"7\",\"continue\":\"t,]}\"},\"kind\":\"List\","
                "\"items\":[{\"name\":\"a\",\"items\":[{\"name\":\"x\"}]}]}",
                "a;7|t,]}");
        check_list("{\n  \"apiVersion\": \"v1\",\n  \"items\": [\n    {\"name\": \"a\"},\n    "
                   "{\"name\": \"b\"}\n  ],\n  \"kind\": \"List\",\n  \"metadata\": {\n    "
                   "\"resourceVersion\": \"\"\n  }\n}\n",
                "a;b;|-");
        check_list("{\"items\":[],\"kind\":\"List\"}", "-|-");
        check_list("{\"a-key-longer-than-any-that-is-known-to-us\":[{\"items\":[1]}],\"x\":12,"
                   "\"items\":[],\"kind\":\"List\"}",
                "-|-");
}

static void list_poison_elements(void)
{
        check_list(
                "{\"items\":[{\"name\":\"a\"},{\"name\":bad},7,\"text\",null,[1],{\"name\":\"b\"}],"
                "\"kind\":\"List\",\"metadata\":{\"resourceVersion\":\"7\"}}",
                "a;!;!;!;!;!;b;7|-");
}

static void list_that_is_none(void)
{
        static const struct {
                const char *text;
                int code;
        } cases[] = {
                {"", -ENODATA},
                {"{", -ENODATA},
                {"{\"items\":[{\"name\":\"a\"}],\"kind\":\"List\"", -ENODATA},
                {"{\"items\":[{\"name\":\"a\"},", -ENODATA},
                {"{\"kind\":\"List\"}", -EBADMSG},
                {"{\"items\":[]}", -EBADMSG},
                {"{\"items\":[],\"kind\":\"Status\"}", -EBADMSG},
                {"{\"items\":null,\"kind\":\"List\"}", -EBADMSG},
                {"{\"items\":{},\"kind\":\"List\"}", -EBADMSG},
                {"{\"items\":[],\"items\":[],\"kind\":\"List\"}", -EBADMSG},
                {"{\"items\":[],\"kind\":7}", -EBADMSG},
                {"{\"items\":[],\"kind\":\"List\",\"metadata\":[]}", -EBADMSG},
                {"{\"items\":[],\"kind\":\"List\",\"metadata\":{\"resourceVersion\":7}}", -EBADMSG},
                {"{\"items\":[],\"kind\":\"List\"}{", -EBADMSG},
                {"{\"items\":[},\"kind\":\"List\"}", -EBADMSG},
                {"[]", -EBADMSG},
                {"404 page not found", -EBADMSG},
                {"{\"items\" []}", -EBADMSG},
                {"{items:[]}", -EBADMSG},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                for (int bytewise = 0; bytewise < 2; bytewise++) {
                        char *seen;
                        int r = feed_list(
                                cases[i].text, strlen(cases[i].text), 0, bytewise, 0, &seen);

                        free(seen);
                        if (r != cases[i].code)
                                printf("# %s\n", cases[i].text);
                        CHECK_INT(r, cases[i].code);
                }
}

static void list_bounds(void)
{
        const char *text = "{\"items\":[{\"name\":\"a-very-long-name\"},{\"name\":\"b\"}],"
                           "\"kind\":\"List\"}";
        char *seen;

        for (size_t at = 0; at <= strlen(text); at++) {
                CHECK_INT(feed_list(text, strlen(text), at, at % 2, 20, &seen), 0);
                CHECK_TEXT(seen, "!;b;-|-");
                free(seen);
        }
}

TEST_MAIN(TEST(watch_events_at_every_split), TEST(watch_fragment_is_no_event),
        TEST(watch_poison_does_not_stop_the_stream), TEST(watch_refuses_what_is_no_stream),
        TEST(watch_bounds), TEST(watch_callback_ends_it), TEST(list_at_every_split),
        TEST(list_poison_elements), TEST(list_that_is_none), TEST(list_bounds))
