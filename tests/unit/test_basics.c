#include <netinet/in.h>
#include <sys/stat.h>

#include "basics/array.h"
#include "basics/backoff.h"
#include "basics/error.h"
#include "basics/fileio.h"
#include "basics/prefix.h"
#include "basics/sort.h"
#include "basics/text.h"
#include "basics/util.h"
#include "test.h"

static void prefixes_are_parsed_and_printed(void)
{
        static const char *const good[] = {"10.244.0.0/16", "0.0.0.0/0", "10.0.0.1/32", "::/0",
                "fd00:10:244:1::/64", "fd00::1/128"};
        static const char *const bad[] = {"", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
                "10.0.0.0/+8", "10.0.0.0/ 8", "10.0.0/8", "::/129", "fd00::/6a", "/8", "x/8",
                "10.0.0.0/99999999999999999999",
                "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111/64"};
        char text[PREFIX_TEXT_MAX];
        struct prefix prefix;

        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                CHECK_INT(prefix_parse(good[i], &prefix), 0);
                CHECK_TEXT(prefix_format(&prefix, text), good[i]);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                CHECK_INT(prefix_parse(bad[i], &prefix), -EINVAL);
        CHECK_INT(prefix_parse("10.244.1.0/16", &prefix), -EADDRNOTAVAIL);
        CHECK_INT(prefix_parse("fd00::1/64", &prefix), -EADDRNOTAVAIL);
        CHECK_INT(prefix_parse("10.0.0.7", &prefix), 0);
        CHECK_INT(prefix.length, 32);
}

static struct prefix prefix_of(const char *text)
{
        struct prefix prefix;

        CHECK_INT(prefix_parse(text, &prefix), 0);
        return prefix;
}

static void prefixes_cover_and_overlap(void)
{
        struct prefix wide = prefix_of("10.0.0.0/8"), narrow = prefix_of("10.1.2.0/23"),
                      other = prefix_of("11.0.0.0/8"), six = prefix_of("::/0"),
                      last = prefix_of("10.1.3.255"), next = prefix_of("10.1.4.0");

        CHECK(prefix_covers(&wide, &narrow) && !prefix_covers(&narrow, &wide));
        CHECK(prefix_covers(&wide, &wide));
        CHECK(!prefix_covers(&wide, &other) && !prefix_overlaps(&wide, &other));
        CHECK(prefix_overlaps(&narrow, &wide));
        CHECK(!prefix_covers(&six, &wide) && !prefix_overlaps(&six, &wide));
        CHECK(prefix_contains(&narrow, &last.address));
        CHECK(!prefix_contains(&narrow, &next.address));
}

static void prefixes_sort_without_duplicates(void)
{
        struct prefix set[] = {prefix_of("::/0"), prefix_of("10.0.0.0/9"), prefix_of("10.0.0.0/8"),
                prefix_of("10.0.0.0/9"), prefix_of("9.0.0.0/8")};
        size_t n = prefix_sort_unique(set, ARRAY_SIZE(set));

        CHECK_INT(n, 4);
        for (size_t i = 1; i < n; i++)
                CHECK(prefix_compare(&set[i - 1], &set[i]) < 0);
        CHECK_INT(set[3].address.family, AF_INET6);
        CHECK_INT(prefix_sort_unique(set, 0), 0);
}

static void special_addresses_are_known(void)
{
        static const char *const special[] = {"0.0.0.0", "127.0.0.1", "169.254.3.4", "224.0.0.1",
                "255.255.255.255", "240.0.0.1", "::", "::1", "fe80::1", "ff02::1",
                "::ffff:10.0.0.1"};
        static const char *const usual[] = {
                "10.0.0.1", "192.168.1.1", "203.0.113.4", "100.64.0.1", "fd00::1", "2001:db8::1"};
        struct address address;

        for (size_t i = 0; i < ARRAY_SIZE(special); i++) {
                CHECK_INT(address_parse(special[i], &address), 0);
                CHECK(address_is_special(&address));
        }
        for (size_t i = 0; i < ARRAY_SIZE(usual); i++) {
                CHECK_INT(address_parse(usual[i], &address), 0);
                CHECK(!address_is_special(&address));
        }
}

static void numbers_are_strict(void)
{
        static const char *const bad[] = {"", " 1", "1 ", "-1", "+1", "0x10", "1e3", "１"};
        uint64_t number;

        CHECK_INT(text_to_uint("65535", 65535, &number), 0);
        CHECK_INT(number, 65535);
        CHECK_INT(text_to_uint("65536", 65535, &number), -ERANGE);
        CHECK_INT(text_to_uint("18446744073709551616", UINT64_MAX, &number), -ERANGE);
        CHECK_INT(text_to_uint("18446744073709551615", UINT64_MAX, &number), 0);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                CHECK_INT(text_to_uint(bad[i], 100, &number), -EINVAL);
}

static void object_names_are_checked(void)
{
        char longest[255];

        CHECK(text_is_object_name("cp-1"));
        CHECK(text_is_object_name("ip-10-0-0-1.eu-west-1.compute.internal"));
        CHECK(!text_is_object_name(""));
        CHECK(!text_is_object_name("-a"));
        CHECK(!text_is_object_name("a."));
        CHECK(!text_is_object_name("A"));
        CHECK(!text_is_object_name("a/b"));
        memset(longest, 'a', sizeof(longest));
        longest[253] = '\0';
        CHECK(text_is_object_name(longest));
        longest[253] = 'a';
        longest[254] = '\0';
        CHECK(!text_is_object_name(longest));
}

static void texts_grow(void)
{
        struct text_builder builder = {};
        char *text;

        for (int i = 0; i < 1000; i++)
                text_append(&builder, "%d,", i);
        CHECK_INT(text_take(&builder, &text), 0);
        CHECK_INT(strlen(text), 10 * 2 + 90 * 3 + 900 * 4);
        free(text);
        CHECK_INT(text_take(&builder, &text), 0);
        CHECK_TEXT(text, "");
        free(text);
}

static void arrays_grow_and_are_zeroed(void)
{
        size_t allocated = 0;
        int *items = NULL;

        for (size_t n = 1; n < 100; n++) {
                CHECK(ARRAY_RESERVE(items, allocated, n));
                CHECK_INT(items[n - 1], 0);
                items[n - 1] = 7;
        }
        CHECK(!ARRAY_RESERVE(items, allocated, SIZE_MAX / 2 + 2));
        CHECK_INT(items[42], 7);
        free(items);
}

static void backoff_doubles_up_to_its_maximum(void)
{
        struct backoff backoff = BACKOFF_INIT(100, 1000);
        static const uint64_t ceilings[] = {100, 200, 400, 800, 1000, 1000};
        bool differ = false;
        uint64_t first = 0;

        for (size_t i = 0; i < ARRAY_SIZE(ceilings); i++) {
                uint64_t delay = backoff_next(&backoff);

                CHECK_INT(backoff.ceiling, ceilings[i]);
                CHECK(delay >= 1 && delay <= ceilings[i]);
        }
        for (int i = 0; i < 64; i++) {
                uint64_t delay = backoff_next(&backoff);

                differ |= first != 0 && delay != first;
                first = delay;
        }
        CHECK(differ);
        backoff_reset(&backoff);
        backoff_next(&backoff);
        CHECK_INT(backoff.ceiling, 100);
}

static void errors_carry_words(void)
{
        struct error error = {};
        char wide[2000];

        CHECK_INT(error_set(&error, -EINVAL, "port %d", 70000), -EINVAL);
        CHECK_INT(error_prefix(&error, "%s:%d", "/etc/x", 3), -EINVAL);
        CHECK_TEXT(error.text, "/etc/x:3: port 70000");
        CHECK_INT(error_set(NULL, -ENOMEM, "nobody listens"), -ENOMEM);
        memset(wide, 'x', sizeof(wide) - 1);
        wide[sizeof(wide) - 1] = '\0';
        error_set(&error, -EINVAL, "%s", wide);
        error_prefix(&error, "%s", wide);
        CHECK_INT(strlen(error.text), sizeof(error.text) - 1);
}

static void files_are_written_whole(void)
{
        char folder[] = "/tmp/nodecryptor-test-XXXXXX", path[64], fifo[64], missing[64];
        struct stat status;
        char *text = NULL;
        size_t size;

        CHECK(mkdtemp(folder));
        snprintf(path, sizeof(path), "%s/file", folder);
        snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
        snprintf(missing, sizeof(missing), "%s/no/file", folder);

        CHECK_INT(file_write_atomic(path, "first", 5, 0600), 0);
        CHECK_INT(file_write_atomic(path, "second", 6, 0640), 0);
        CHECK_INT(file_read(path, 100, &text, &size), 0);
        CHECK_TEXT(text, "second");
        CHECK_INT(size, 6);
        free(text);
        CHECK(stat(path, &status) == 0 && (status.st_mode & 0777) == 0640);
        CHECK_INT(file_read(path, 5, &text, &size), -EFBIG);
        CHECK_INT(file_read(missing, 5, &text, &size), -ENOENT);
        CHECK_INT(file_write_atomic(missing, "x", 1, 0600), -ENOENT);
        CHECK_INT(file_read(folder, 5, &text, &size), -EINVAL);
        /* Must not wait for a writer that never comes. */
        CHECK(mkfifo(fifo, 0600) == 0);
        CHECK_INT(file_read(fifo, 5, &text, &size), -EINVAL);

        CHECK(unlink(path) == 0 && unlink(fifo) == 0 && rmdir(folder) == 0);
}

struct item {
        unsigned key, place;
};

static int item_compare(const void *a, const void *b)
{
        const struct item *x = a, *y = b;

        return (x->key > y->key) - (x->key < y->key);
}

/* Of so many runs, each ascending; 0: no order at all. */
static void check_sorted(size_t n, size_t runs)
{
        static struct item items[1000];
        static unsigned counts[500], sorted[500];
        unsigned random = 7;

        CHECK(n <= 1000);
        memset(counts, 0, sizeof(counts));
        memset(sorted, 0, sizeof(sorted));
        for (size_t i = 0; i < n; i++) {
                random = random * 1664525u + 1013904223u;
                items[i].key = runs == 0 ? (random >> 8) % 500 : (unsigned)(i * runs % n * 499 / n);
                items[i].place = (unsigned)i;
                counts[items[i].key]++;
        }
        sort_runs(items, n, sizeof(items[0]), item_compare);
        for (size_t i = 0; i < n; i++) {
                sorted[items[i].key]++;
                if (i == 0)
                        continue;
                CHECK(items[i - 1].key <= items[i].key);
                CHECK(items[i - 1].key < items[i].key || items[i - 1].place < items[i].place);
        }
        CHECK(memcmp(counts, sorted, sizeof(counts)) == 0);
}

static void runs_are_sorted(void)
{
        for (size_t n = 0; n < 70; n++)
                for (size_t runs = 0; runs < 9; runs++)
                        check_sorted(n, runs);
        check_sorted(1000, 0);
        check_sorted(1000, 1);
        check_sorted(1000, 7);
}

static void addresses_have_an_order(void)
{
        static const char *const texts[] = {"0.0.0.1", "9.255.255.255", "10.0.0.0", "10.0.0.255",
                "10.0.1.0", "128.0.0.0", "255.0.0.1", "::1", "::1:0:0:0:0", "fd00::", "fd00::80",
                "fd00::8000:0", "fd00:0:0:1::", "ff00::"};
        struct address a, b;

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                for (size_t j = 0; j < ARRAY_SIZE(texts); j++) {
                        CHECK_INT(address_parse(texts[i], &a), 0);
                        CHECK_INT(address_parse(texts[j], &b), 0);
                        CHECK_INT(address_compare(&a, &b), (i > j) - (i < j));
                        CHECK_INT(address_equal(&a, &b), i == j);
                }
        a = b = (struct address){};
        b.bytes[0] = 1; /* of no family: no address, whatever the bytes */
        CHECK(address_equal(&a, &b));
}

TEST_MAIN(TEST(prefixes_are_parsed_and_printed), TEST(prefixes_cover_and_overlap),
        TEST(prefixes_sort_without_duplicates), TEST(runs_are_sorted),
        TEST(addresses_have_an_order), TEST(special_addresses_are_known), TEST(numbers_are_strict),
        TEST(object_names_are_checked), TEST(texts_grow), TEST(arrays_grow_and_are_zeroed),
        TEST(backoff_doubles_up_to_its_maximum), TEST(errors_carry_words),
        TEST(files_are_written_whole))
