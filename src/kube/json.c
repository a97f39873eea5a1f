#include "kube/json.h"

#include <limits.h>
#include <string.h>

DEFINE_CLEANUP(struct json_tokener *, json_tokener_free)

int kube_json_parse(const char *text, size_t size, struct json_object **ret)
{
        _cleanup_(json_tokener_freep) struct json_tokener *tokener =
                json_tokener_new_ex(JSON_DEPTH_MAX);
        _cleanup_(kube_json_putp) struct json_object *object = NULL;

        if (!tokener)
                return -ENOMEM;
        if (size == 0 || size > INT_MAX)
                return -EINVAL;
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        object = json_tokener_parse_ex(tokener, text, (int)size);
        if (json_tokener_get_error(tokener) != json_tokener_success || !object)
                return -EINVAL;
        for (size_t at = json_tokener_get_parse_end(tokener); at < size; at++)
                if (!strchr(" \t\r\n", text[at]) || !text[at])
                        return -EINVAL;
        *ret = TAKE_PTR(object);
        return 0;
}

int kube_json_get(struct json_object *object, const char *key, enum json_type type,
        struct json_object **ret, struct error *error)
{
        struct json_object *value = NULL;

        if (object)
                json_object_object_get_ex(object, key, &value);
        if (value && !json_object_is_type(value, type))
                return error_set(
                        error, -EINVAL, "%s: not of type %s", key, json_type_to_name(type));
        *ret = value;
        return 0;
}

const char *kube_json_text(struct json_object *string)
{
        const char *text = json_object_get_string(string);

        return text && strlen(text) == (size_t)json_object_get_string_len(string) ? text : NULL;
}

int kube_json_get_text(struct json_object *object, const char *key, size_t maximum,
        const char **ret, struct error *error)
{
        struct json_object *value;
        const char *text;
        int r;

        r = kube_json_get(object, key, json_type_string, &value, error);
        if (r < 0)
                return r;
        if (!value) {
                *ret = NULL;
                return 0;
        }
        text = kube_json_text(value);
        if (!text)
                return error_set(error, -EINVAL, "%s: a NUL byte in it", key);
        if (strlen(text) > maximum)
                return error_set(error, -EINVAL, "%s: longer than %zu bytes", key, maximum);
        *ret = text;
        return 0;
}
