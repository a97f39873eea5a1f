/*
 * A small harness for unit tests: each TEST() is one line of TAP on standard output, and a failed
 * CHECK() names file, line and expression, and ends that test only.
 */
#pragma once

#include <inttypes.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct test {
        const char *name;
        void (*run)(void);
};

extern jmp_buf test_failed;

#define CHECK(expression)                                                         \
        do {                                                                      \
                if (!(expression)) {                                              \
                        printf("# %s:%d: %s\n", __FILE__, __LINE__, #expression); \
                        longjmp(test_failed, 1);                                  \
                }                                                                 \
        } while (0)

/* Two integers; both are printed when they differ. */
#define CHECK_INT(a, b)                                                                    \
        do {                                                                               \
                intmax_t _a = (intmax_t)(a), _b = (intmax_t)(b);                           \
                if (_a != _b) {                                                            \
                        printf("# %s:%d: %s = %" PRIdMAX ", not %" PRIdMAX "\n", __FILE__, \
                                __LINE__, #a, _a, _b);                                     \
                        longjmp(test_failed, 1);                                           \
                }                                                                          \
        } while (0)

/* Two strings, NULL being different from every string. */
#define CHECK_TEXT(a, b)                                                                     \
        do {                                                                                 \
                const char *_a = (a), *_b = (b);                                             \
                if (!_a || !_b || strcmp(_a, _b) != 0) {                                     \
                        printf("# %s:%d: %s = \"%s\", not \"%s\"\n", __FILE__, __LINE__, #a, \
                                _a ? _a : "(null)", _b ? _b : "(null)");                     \
                        longjmp(test_failed, 1);                                             \
                }                                                                            \
        } while (0)

/* True when `text` holds `part`. */
#define CHECK_HAS(text, part)                                                             \
        do {                                                                              \
                const char *_t = (text), *_p = (part);                                    \
                if (!_t || !strstr(_t, _p)) {                                             \
                        printf("# %s:%d: \"%s\" not in \"%s\"\n", __FILE__, __LINE__, _p, \
                                _t ? _t : "(null)");                                      \
                        longjmp(test_failed, 1);                                          \
                }                                                                         \
        } while (0)

/* Runs them in order (or those whose name holds argv[1]); the exit status for main(). */
int test_main(int argc, char **argv, const struct test *tests, size_t n);

#define TEST(function)              \
        {                           \
#function, function \
        }
#define TEST_MAIN(...)                                                                 \
        int main(int argc, char **argv)                                                \
        {                                                                              \
                static const struct test tests[] = {__VA_ARGS__};                      \
                return test_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0])); \
        }
