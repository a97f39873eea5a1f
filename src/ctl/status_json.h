/*
 * Reading the daemon's status as JSON: a property that an older daemon does not have is empty.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

static inline const char *status_text(json_object *status, const char *name)
{
        json_object *value;

        return json_object_object_get_ex(status, name, &value) &&
                               json_object_is_type(value, json_type_string)
                       ? json_object_get_string(value)
                       : "";
}

static inline uint64_t status_number(json_object *status, const char *name)
{
        json_object *value;

        return json_object_object_get_ex(status, name, &value) &&
                               json_object_is_type(value, json_type_int)
                       ? json_object_get_uint64(value)
                       : 0;
}

static inline bool status_is(json_object *status, const char *name)
{
        json_object *value;

        return json_object_object_get_ex(status, name, &value) && json_object_get_boolean(value);
}
