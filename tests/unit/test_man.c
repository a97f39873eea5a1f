/*
 * The manual pages name every key, option, verb, metric, message id and exit status of the
 * programs, and no other ones; and each of them in one page only.
 */
#include <ctype.h>
#include <stdlib.h>

#include "basics/fileio.h"
#include "basics/text.h"
#include "config/file.h"
#include "config/options.h"
#include "service/metrics.h"
#include "test.h"

#define PAGE_MAX (1024 * 1024)

static char *read_page(const char *name)
{
        _cleanup_free_ char *path = NULL;
        char *text = NULL;

        CHECK(asprintf(&path, SOURCE_ROOT "/%s", name) > 0);
        CHECK_INT(file_read(path, PAGE_MAX, &text, NULL), 0);
        return text;
}

/* Takes roff's "\-" for "-", so that an option is found as it is typed. */
static void unescape(char *text)
{
        char *to = text;

        for (; *text; text++)
                if (!(text[0] == '\\' && text[1] == '-'))
                        *to++ = *text;
        *to = '\0';
}

/* The heading of the next paragraph: the line behind ".TP", without its macro. NULL: no more. */
static char *next_heading(char **rest)
{
        char *line = strstr(*rest, "\n.TP\n"), *end, *word;

        if (!line)
                return NULL;
        line += 5;
        end = strchr(line, '\n');
        CHECK(end);
        *end = '\0';
        *rest = end + 1;
        (*rest)[-1] = '\n';
        word = strndup(line, (size_t)(end - line));
        CHECK(word);
        return word;
}

/* The word of a heading ".B WORD" or ".BI WORD …", in place. */
static const char *word_of(char *heading)
{
        char *word = strchr(heading, ' ');

        if (!word)
                return heading;
        word++;
        word[strcspn(word, " ")] = '\0';
        return word;
}

static bool is_option(const char *name)
{
        for (size_t i = 0; options_name(i); i++)
                if (strcmp(options_name(i), name) == 0)
                        return true;
        return false;
}

static bool is_key(const char *name)
{
        for (size_t i = 0; config_file_key(i); i++)
                if (strcmp(config_file_key(i), name) == 0)
                        return true;
        for (size_t i = 0; config_file_exemption_key(i); i++)
                if (strcmp(config_file_exemption_key(i), name) == 0)
                        return true;
        return false;
}

static void options_of_the_daemon(void)
{
        _cleanup_free_ char *page = read_page("man/nodecryptor.8");
        char *rest = page, *heading;
        size_t found = 0, wanted = 0;

        unescape(page);
        while ((heading = next_heading(&rest))) {
                const char *word = word_of(heading);

                if (strncmp(word, "--", 2) == 0) {
                        if (!is_option(word + 2))
                                printf("# %s\n", word);
                        CHECK(is_option(word + 2));
                        found++;
                }
                free(heading);
        }
        while (options_name(wanted))
                wanted++;
        CHECK_INT(found, wanted);
}

static void keys_of_the_file(void)
{
        _cleanup_free_ char *page = read_page("man/nodecryptor.conf.5");
        char *rest = page, *heading;
        size_t found = 0, wanted = 0;

        while ((heading = next_heading(&rest))) {
                const char *word = word_of(heading);

                if (!is_key(word))
                        printf("# %s\n", word);
                CHECK(is_key(word));
                found++;
                free(heading);
        }
        while (config_file_key(wanted))
                wanted++;
        for (size_t i = 0; config_file_exemption_key(i); i++)
                wanted++;
        CHECK_INT(found, wanted);
}

/* The limits that the page names. */
static void limits_of_the_file(void)
{
        _cleanup_free_ char *page = read_page("man/nodecryptor.conf.5");
        char text[64];

        snprintf(text, sizeof(text), "at most %d prefixes", CONFIG_PREFIXES_MAX);
        CHECK_HAS(page, text);
        snprintf(text, sizeof(text), "List of groups, at most %d.", CONFIG_EXEMPTIONS_MAX);
        CHECK_HAS(page, text);
}

/* The section of a verb: from its ".SS" to the next one or to ".SH". */
static char *section(const char *page, const char *verb)
{
        char begin[64];
        const char *text, *end, *other;
        char *copy;

        snprintf(begin, sizeof(begin), "\n.SS %s\n", verb);
        text = strstr(page, begin);
        CHECK(text);
        text += strlen(begin) - 1;
        end = strstr(text, "\n.SH ");
        other = strstr(text, "\n.SS ");
        if (other && other < end)
                end = other;
        copy = strndup(text, (size_t)(end - text) + 1);
        CHECK(copy);
        return copy;
}

/* Compares a verb's section with the getopt table in its source. */
static void check_verb(const char *verb)
{
        _cleanup_free_ char *page = read_page("man/nodecryptorctl.1"), *source = NULL, *part = NULL,
                            *name = NULL;
        size_t found = 0, wanted = 0;
        char *rest, *heading;

        unescape(page);
        part = section(page, verb);
        CHECK(asprintf(&name, "src/ctl/%s.c", verb) > 0);
        source = read_page(name);
        for (rest = part; (heading = next_heading(&rest)); free(heading)) {
                char entry[64];

                CHECK(strncmp(word_of(heading), "--", 2) == 0);
                snprintf(entry, sizeof(entry), "{\"%s\", ", word_of(heading) + 2);
                CHECK_HAS(source, entry);
                found++;
        }
        for (const char *p = source; (p = strstr(p, "_argument, NULL, ")); p++)
                wanted++;
        CHECK(wanted > 0);
        CHECK_INT(found, wanted);
}

static void options_of_status(void)
{
        check_verb("status");
}

static void options_of_peers(void)
{
        check_verb("peers");
}

static void options_of_plan(void)
{
        check_verb("plan");
}

static void options_of_explain(void)
{
        check_verb("explain");
}

static void options_of_audit(void)
{
        check_verb("audit");
}

static void options_of_check(void)
{
        check_verb("check");
}

static void options_of_wait(void)
{
        check_verb("wait");
}

static void options_of_reload(void)
{
        check_verb("reload");
}

static void options_of_flush(void)
{
        check_verb("flush");
}

static const char *const pages[] = {"man/nodecryptor.8", "man/nodecryptor.conf.5",
        "man/nodecryptorctl.1", "man/org.nodecryptor1.5"};

/* Of all pages: how many paragraphs have exactly that heading, or one that goes on behind it. */
static size_t headings_in_all(const char *wanted)
{
        size_t found = 0, length = strlen(wanted);

        for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
                _cleanup_free_ char *page = read_page(pages[i]);
                char *rest = page, *heading;

                unescape(page);
                for (; (heading = next_heading(&rest)); free(heading))
                        found += strncmp(heading, wanted, length) == 0 &&
                                 (heading[length] == '\0' || heading[length] == ' ');
        }
        return found;
}

static size_t headings_with(const char *name, const char *beginning)
{
        _cleanup_free_ char *page = read_page(name);
        char *rest = page, *heading;
        size_t found = 0;

        for (; (heading = next_heading(&rest)); free(heading))
                found += strncmp(heading, beginning, strlen(beginning)) == 0;
        return found;
}

static void check_once(const char *heading)
{
        size_t found = headings_in_all(heading);

        if (found != 1)
                printf("# %s: %zu times\n", heading, found);
        CHECK_INT(found, 1);
}

/* Every metric, with its type. */
static void metrics(void)
{
        const struct status status = {
                .observe_only = true,
                .peers.known = true,
                .knowledge = KNOWLEDGE_API,
                .knowledge_at = 1,
        };
        struct text_builder builder = {};
        _cleanup_free_ char *text = NULL;
        char *rest, *line, heading[256];
        size_t wanted = 0;

        metrics_print(&status, 2, &builder);
        CHECK_INT(text_take(&builder, &text), 0);
        for (rest = text; (line = strsep(&rest, "\n"));) {
                if (strncmp(line, "# TYPE ", 7) != 0)
                        continue;
                snprintf(heading, sizeof(heading), ".B %s", line + 7);
                check_once(heading);
                wanted++;
        }
        CHECK(wanted > 30);
        CHECK_INT(headings_with(pages[0], ".B nodecryptor_"), wanted);
}

static void message_ids(void)
{
        _cleanup_free_ char *header = read_page("src/basics/message_id.h"),
                            *page = read_page(pages[0]);
        char *rest, *heading, *id, entry[64];
        size_t wanted = 0, found = 0;

        for (id = header; (id = strstr(id, "#define MESSAGE_")); wanted++) {
                id = strchr(id, '"');
                CHECK(id && strcspn(id + 1, "\"") == 32);
                snprintf(entry, sizeof(entry), ".B %.32s", id + 1);
                check_once(entry);
        }
        CHECK(wanted > 10);
        for (rest = page; (heading = next_heading(&rest)); free(heading))
                found += strspn(word_of(heading), "0123456789abcdef") == 32;
        CHECK_INT(found, wanted);
}

/* The table of main.c: a section of the manual and a line of --help for each. */
static void verbs(void)
{
        _cleanup_free_ char *page = read_page("man/nodecryptorctl.1"),
                            *source = read_page("src/ctl/main.c");
        const char *help = strstr(source, "print_help"), *entry = source, *end;
        size_t wanted = 0, found = 0;

        CHECK(help);
        for (; (entry = strstr(entry, "\n        {\"")) && entry < help; wanted++) {
                _cleanup_free_ char *name = NULL, *part = NULL;

                entry += strlen("\n        {\"");
                end = strchr(entry, '"');
                name = strndup(entry, (size_t)(end - entry));
                CHECK(name);
                part = section(page, name);
                CHECK(part);
                CHECK_HAS(help, name);
        }
        CHECK(wanted > 5);
        for (const char *p = page; (p = strstr(p, "\n.SS ")); p++)
                found++;
        CHECK_INT(found, wanted);
}

/* The numbers of the header's "#define EXIT_…" besides 0 and 1, as a set of bits. */
static unsigned exit_numbers(const char *header)
{
        _cleanup_free_ char *text = read_page(header);
        unsigned numbers = 1u << EXIT_SUCCESS | 1u << EXIT_FAILURE;

        for (const char *p = text; (p = strstr(p, "#define EXIT_")); p++) {
                p += strcspn(p + 13, " ") + 13;
                numbers |= 1u << strtoul(p, NULL, 10);
        }
        return numbers;
}

static void check_exit(const char *name, const char *header)
{
        _cleanup_free_ char *page = read_page(name);
        char *rest = strstr(page, "\n.SH EXIT STATUS\n"), *heading;
        unsigned found = 0;

        CHECK(rest);
        for (; (heading = next_heading(&rest)); free(heading))
                if (isdigit((unsigned char)*word_of(heading)))
                        found |= 1u << strtoul(word_of(heading), NULL, 10);
        CHECK_INT(found, exit_numbers(header));
}

static void exit_statuses(void)
{
        check_exit("man/nodecryptor.8", "src/config/options.h");
        check_exit("man/nodecryptorctl.1", "src/ctl/verbs.h");
}

/* What is in one page is not in another one, too. */
static void in_one_page(void)
{
        char heading[128];

        for (size_t i = 0; config_file_key(i); i++) {
                snprintf(heading, sizeof(heading), ".B %s", config_file_key(i));
                check_once(heading);
        }
}

TEST_MAIN(TEST(options_of_the_daemon), TEST(keys_of_the_file), TEST(limits_of_the_file),
        TEST(options_of_status), TEST(options_of_peers), TEST(options_of_plan),
        TEST(options_of_explain), TEST(options_of_audit), TEST(options_of_check),
        TEST(options_of_wait), TEST(options_of_reload), TEST(options_of_flush), TEST(metrics),
        TEST(message_ids), TEST(verbs), TEST(exit_statuses), TEST(in_one_page))
