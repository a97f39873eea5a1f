/*
 * The story of the age of our knowledge: told once when it is too old, and once when it is fresh.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "basics/log.h"
#include "daemon/story.h"
#include "test.h"

/* What was logged since the last call. */
static const char *logged(void)
{
        static char text[4096];
        ssize_t n = pread(STDERR_FILENO, text, sizeof(text) - 1, 0);

        text[n > 0 ? n : 0] = '\0';
        CHECK(ftruncate(STDERR_FILENO, 0) == 0 && lseek(STDERR_FILENO, 0, SEEK_SET) == 0);
        return text;
}

static void told_once(void)
{
        struct story story = {.status.knowledge = KNOWLEDGE_API, .begun = 1000};

        story.status.knowledge_at = 2000;
        story_knowledge_age(&story, 2000 + STATUS_AGE_MAX);
        CHECK_TEXT(logged(), "");
        story_knowledge_age(&story, 2001 + STATUS_AGE_MAX);
        CHECK_HAS(logged(), "as of 301 s ago");
        story_knowledge_age(&story, 2060 + STATUS_AGE_MAX);
        CHECK_TEXT(logged(), "");
        story.status.knowledge_at = 2400;
        story_knowledge_age(&story, 2400);
        CHECK_HAS(logged(), "fresh again");
        story_knowledge_age(&story, 2401);
        CHECK_TEXT(logged(), "");
}

static void quiet_at_the_start(void)
{
        struct story story = {.status.knowledge = KNOWLEDGE_SNAPSHOT, .begun = 10000};

        story.status.knowledge_at = 2000;
        story_knowledge_age(&story, 10001);
        CHECK_TEXT(logged(), "");
        story_knowledge_age(&story, 10060);
        CHECK_HAS(logged(), "as of 8060 s ago");
}

static void nothing_has_no_age(void)
{
        struct story story = {.begun = 1000};

        story_knowledge_age(&story, 100000);
        CHECK_TEXT(logged(), "");
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {
                TEST(told_once),
                TEST(quiet_at_the_start),
                TEST(nothing_has_no_age),
        };
        int fd = memfd_create("log", MFD_CLOEXEC);

        if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
                return EXIT_FAILURE;
        log_init("test");
        return test_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
