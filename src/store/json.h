/*
 * Reading JSON that is not trusted: json-c takes wrong types, NULs in texts and anything behind the
 * document without a word unless asked.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "basics/util.h"

/* One document and nothing behind it but white space. NULL: it is none, or out of memory. */
json_object *json_parse(const char *text, size_t size);

/* The member, borrowed; NULL: there is none of that type. */
json_object *json_member(json_object *object, const char *key, enum json_type type);
/* The text, borrowed; NULL: not a string, longer than `maximum`, or with control characters. */
const char *json_text(json_object *object, size_t maximum);
/* The same for a member; a member that is absent or null is "absent" (*ret = NULL, true). */
bool json_optional_text(json_object *object, const char *key, size_t maximum, const char **ret);
/* A member that is an integer from `minimum` to `maximum`; false otherwise. */
bool json_number(
        json_object *object, const char *key, int64_t minimum, int64_t maximum, int64_t *ret);

static inline void json_putp(json_object **object)
{
        json_object_put(*object);
}
