/*
 * Reading JSON values strictly: json-c with the checks that it leaves out.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include "basics/error.h"

#define JSON_DEPTH_MAX 32

static inline void kube_json_put(struct json_object *object)
{
        json_object_put(object);
}
DEFINE_CLEANUP(struct json_object *, kube_json_put)

/* One document and nothing behind it; the caller puts it. −EINVAL: not JSON (UTF-8 checked).
 * −ENOMEM. */
int kube_json_parse(const char *text, size_t size, struct json_object **ret);

/*
 * A member of an object, borrowed; *ret is NULL when it is absent or null, or when `object` is
 * NULL. −EINVAL with words: it is there with another type.
 */
int kube_json_get(struct json_object *object, const char *key, enum json_type type,
        struct json_object **ret, struct error *error);
/* The text of a string, borrowed; NULL: a NUL byte in it. */
const char *kube_json_text(struct json_object *string);
/* A member's text, borrowed; *ret is NULL when absent. −EINVAL: no string, a NUL, or too long. */
int kube_json_get_text(struct json_object *object, const char *key, size_t maximum,
        const char **ret, struct error *error);
