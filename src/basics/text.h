/*
 * Text: strict number parsing, and strings that grow while they are printed into.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basics/util.h"

/*
 * Parses a whole non-negative decimal number: digits only, no sign, no space, no leading "+".
 * −EINVAL: not a number. −ERANGE: above `maximum`.
 */
int text_to_uint(const char *text, uint64_t maximum, uint64_t *ret);

/* strcmp(3) that takes NULL: NULL equals NULL and nothing else. */
bool text_equal(const char *a, const char *b);

/* free(*target), then *target = a copy of `text` (NULL stays NULL). −ENOMEM leaves it alone. */
int text_replace(char **target, const char *text);

/*
 * True when `text` is a legal Kubernetes object name as RFC 1123 has subdomains: at most 253 of
 * [a-z0-9.-], first and last alphanumeric.
 */
bool text_is_object_name(const char *text);

/* A string under construction. Zero it to begin; text may be NULL while it is empty. */
struct text_builder {
        char *text;
        size_t length;
        size_t allocated;
        bool failed;
};

/* Appends; out of memory is remembered in `failed`. */
void text_append(struct text_builder *builder, const char *format, ...) _printf_(2, 3);
/* Hands the string over (never NULL on success) and empties the builder. −ENOMEM if any append
 * failed. */
int text_take(struct text_builder *builder, char **ret);
void text_deinit(struct text_builder *builder);
