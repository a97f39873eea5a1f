#include "store/json.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>

json_object *json_parse(const char *text, size_t size)
{
        json_tokener *tokener;
        json_object *object;

        if (size > INT_MAX)
                return NULL;
        tokener = json_tokener_new_ex(16);
        if (!tokener)
                return NULL;
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        object = json_tokener_parse_ex(tokener, text, (int)size);
        /* A document that ends early leaves the rest unread, one cut short wants more. */
        if (json_tokener_get_error(tokener) != json_tokener_success ||
                json_tokener_get_parse_end(tokener) != size) {
                json_object_put(object);
                object = NULL;
        }
        json_tokener_free(tokener);
        return object;
}

json_object *json_member(json_object *object, const char *key, enum json_type type)
{
        json_object *member = NULL;

        if (!json_object_is_type(object, json_type_object) ||
                !json_object_object_get_ex(object, key, &member) ||
                !json_object_is_type(member, type))
                return NULL;
        return member;
}

const char *json_text(json_object *object, size_t maximum)
{
        const char *text;
        size_t length;

        if (!json_object_is_type(object, json_type_string))
                return NULL;
        text = json_object_get_string(object);
        length = (size_t)json_object_get_string_len(object);
        if (length > maximum)
                return NULL;
        for (size_t i = 0; i < length; i++)
                if (iscntrl((unsigned char)text[i])) /* NUL is one */
                        return NULL;
        return text;
}

bool json_optional_text(json_object *object, const char *key, size_t maximum, const char **ret)
{
        json_object *member = NULL;

        if (!json_object_object_get_ex(object, key, &member) || !member) {
                *ret = NULL;
                return true;
        }
        *ret = json_text(member, maximum);
        return *ret != NULL;
}

bool json_number(
        json_object *object, const char *key, int64_t minimum, int64_t maximum, int64_t *ret)
{
        json_object *member = json_member(object, key, json_type_int);
        int64_t number;

        if (!member)
                return false;
        number = json_object_get_int64(member);
        if (number < minimum || number > maximum)
                return false;
        *ret = number;
        return true;
}
