/*
 * The journal's catalog explains every message id of ours, and no other, and says what to do.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "basics/fileio.h"
#include "basics/util.h"
#include "test.h"

#define FILE_MAX (256 * 1024)
#define IDS_MAX  64
#define ID_SIZE  33

struct ids {
        char text[IDS_MAX][ID_SIZE];
        size_t n;
};

static char *read_file(const char *name)
{
        _cleanup_free_ char *path = NULL;
        char *text = NULL;

        CHECK(asprintf(&path, SOURCE_ROOT "/%s", name) > 0);
        CHECK_INT(file_read(path, FILE_MAX, &text, NULL), 0);
        return text;
}

static bool has(const struct ids *ids, const char *id)
{
        for (size_t i = 0; i < ids->n; i++)
                if (strcmp(ids->text[i], id) == 0)
                        return true;
        return false;
}

static void add(struct ids *ids, const char *text)
{
        char id[ID_SIZE];

        snprintf(id, sizeof(id), "%s", text);
        CHECK_INT(strspn(id, "0123456789abcdef"), ID_SIZE - 1);
        CHECK(!has(ids, id));
        CHECK(ids->n < IDS_MAX);
        memcpy(ids->text[ids->n++], id, ID_SIZE);
}

static void read_header(struct ids *ids)
{
        _cleanup_free_ char *text = read_file("src/basics/message_id.h");

        for (char *p = text; (p = strstr(p, "\n#define MESSAGE_"));) {
                p = strchr(p + 1, '"');
                CHECK(p);
                add(ids, p + 1);
        }
}

/* catalog entries begin with "-- ID", see systemd's catalog documentation. */
static const char *next_entry(const char *text)
{
        const char *entry = strstr(text, "\n-- ");

        return entry ? entry + 4 : NULL;
}

static void read_catalog(const char *text, struct ids *ids)
{
        for (const char *p = text; (p = next_entry(p));)
                add(ids, p);
}

static void every_id_is_explained(void)
{
        _cleanup_free_ char *text = read_file("conf/nodecryptor.catalog");
        struct ids defined = {}, explained = {};

        read_header(&defined);
        read_catalog(text, &explained);
        CHECK(defined.n > 0);
        for (size_t i = 0; i < defined.n; i++) {
                if (!has(&explained, defined.text[i]))
                        printf("# %s: no entry\n", defined.text[i]);
                CHECK(has(&explained, defined.text[i]));
        }
        CHECK_INT(explained.n, defined.n);
}

/* What it means, and, in a paragraph of its own, what to do. */
static void every_entry_is_whole(void)
{
        _cleanup_free_ char *text = read_file("conf/nodecryptor.catalog");

        for (const char *p = text; (p = next_entry(p));) {
                const char *end = next_entry(p);
                _cleanup_free_ char *entry = end ? strndup(p, (size_t)(end - p)) : strdup(p),
                                    *body = NULL;

                CHECK(entry);
                CHECK(strncmp(entry + ID_SIZE - 1, "\nSubject: ", 10) == 0);
                CHECK_HAS(entry, "\nDefined-By: nodecryptor\n");
                CHECK_HAS(entry, "\nDocumentation: man:");
                body = strstr(entry, "\n\n") ? strdup(strstr(entry, "\n\n") + 2) : NULL;
                CHECK(body);
                CHECK(strlen(body) > 100 && isupper((unsigned char)body[0]));
                CHECK_HAS(body, "\n\n");
                CHECK(isgraph((unsigned char)strstr(body, "\n\n")[2]));
        }
}

TEST_MAIN(TEST(every_id_is_explained), TEST(every_entry_is_whole))
