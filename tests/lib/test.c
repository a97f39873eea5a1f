#include "test.h"

#include <stdlib.h>

jmp_buf test_failed;

/* In a function of its own: what lives across the setjmp() must not be a caller's variable. */
static bool run_one(const struct test *test)
{
        if (setjmp(test_failed) != 0)
                return false;
        test->run();
        return true;
}

int test_main(int argc, char **argv, const struct test *tests, size_t n)
{
        unsigned number = 0, failed = 0;

        setvbuf(stdout, NULL, _IOLBF, 0);
        for (size_t i = 0; i < n; i++) {
                if (argc > 1 && !strstr(tests[i].name, argv[1]))
                        continue;
                number++;
                if (run_one(&tests[i])) {
                        printf("ok %u - %s\n", number, tests[i].name);
                } else {
                        printf("not ok %u - %s\n", number, tests[i].name);
                        failed++;
                }
        }
        printf("1..%u\n", number);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
