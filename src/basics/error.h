/*
 * An error with words: what a function that parses or talks hands back beside its negative errno,
 * so that the caller which handles it can log one sentence that names the thing.
 */
#pragma once

#include "basics/util.h"

struct error {
        int code;       /* negative errno, 0: none */
        char text[512]; /* one sentence without a full stop; never a credential */
};

/*
 * Fills *error (which may be NULL) and yields `code`, so that "return error_set(…)" reads well. The
 * text is cut at its end when it does not fit. A macro, so that whoever reads the caller, compiler
 * and analyser among them, sees that the code comes out as it went in.
 */
#define error_set(error, code, ...)                            \
        ({                                                     \
                int _error_code = (code);                      \
                error_fill((error), _error_code, __VA_ARGS__); \
                _error_code;                                   \
        })
void error_fill(struct error *error, int code, const char *format, ...) _printf_(3, 4);
/* Puts "PREFIX: " in front of the text that stands; returns the code that stands. */
int error_prefix(struct error *error, const char *format, ...) _printf_(2, 3);
