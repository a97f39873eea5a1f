#include "ctl/bus_json.h"

#include <string.h>

#include "store/json.h"

#define DEPTH_MAX 16

static int read_value(sd_bus_message *message, unsigned depth, json_object **ret);

static int add_entry(sd_bus_message *message, unsigned depth, json_object *object)
{
        json_object *value = NULL;
        const char *key;
        int r = sd_bus_message_enter_container(message, 0, NULL);

        if (r >= 0)
                r = sd_bus_message_read(message, "s", &key);
        if (r >= 0)
                r = read_value(message, depth, &value);
        if (r < 0)
                return r;
        if (json_object_object_add(object, key, value) < 0) {
                json_object_put(value);
                return -ENOMEM;
        }
        return sd_bus_message_exit_container(message);
}

static int add_item(sd_bus_message *message, unsigned depth, json_object *array)
{
        json_object *value = NULL;
        int r = read_value(message, depth, &value);

        if (r < 0)
                return r;
        if (json_object_array_add(array, value) < 0) {
                json_object_put(value);
                return -ENOMEM;
        }
        return 0;
}

/* Array, structure or variant. */
static int read_container(
        sd_bus_message *message, char type, const char *contents, unsigned depth, json_object **ret)
{
        bool is_dictionary = type == SD_BUS_TYPE_ARRAY && *contents == SD_BUS_TYPE_DICT_ENTRY_BEGIN;
        _cleanup_(json_putp) json_object *value = NULL;
        int r = sd_bus_message_enter_container(message, type, contents);

        if (r < 0)
                return r;
        if (type == SD_BUS_TYPE_VARIANT) {
                r = read_value(message, depth, &value);
        } else {
                value = is_dictionary ? json_object_new_object() : json_object_new_array();
                if (!value)
                        return -ENOMEM;
                while (r >= 0 && (r = sd_bus_message_at_end(message, false)) == 0)
                        r = is_dictionary ? add_entry(message, depth, value)
                                          : add_item(message, depth, value);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(message);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(value);
        return 0;
}

static json_object *new_basic(char type, const void *value)
{
        switch (type) {
        case SD_BUS_TYPE_BOOLEAN: return json_object_new_boolean(*(const int *)value);
        case SD_BUS_TYPE_BYTE: return json_object_new_int(*(const uint8_t *)value);
        case SD_BUS_TYPE_INT16: return json_object_new_int(*(const int16_t *)value);
        case SD_BUS_TYPE_UINT16: return json_object_new_int(*(const uint16_t *)value);
        case SD_BUS_TYPE_INT32: return json_object_new_int(*(const int32_t *)value);
        case SD_BUS_TYPE_UINT32: return json_object_new_int64(*(const uint32_t *)value);
        case SD_BUS_TYPE_INT64: return json_object_new_int64(*(const int64_t *)value);
        case SD_BUS_TYPE_UINT64: return json_object_new_uint64(*(const uint64_t *)value);
        case SD_BUS_TYPE_DOUBLE: return json_object_new_double(*(const double *)value);
        default: return json_object_new_string(*(const char *const *)value);
        }
}

static int read_basic(sd_bus_message *message, char type, json_object **ret)
{
        union {
                uint64_t number;
                double real;
                const char *text;
        } value;
        int r;

        if (!strchr("bynqiuxtdsog", type))
                return -EBADMSG;
        r = sd_bus_message_read_basic(message, type, &value);
        if (r < 0)
                return r;
        *ret = new_basic(type, &value);
        return *ret ? 0 : -ENOMEM;
}

static int read_value(sd_bus_message *message, unsigned depth, json_object **ret)
{
        const char *contents;
        char type;
        int r = sd_bus_message_peek_type(message, &type, &contents);

        if (r <= 0 || depth == 0)
                return r < 0 ? r : -EBADMSG;
        if (type == SD_BUS_TYPE_ARRAY || type == SD_BUS_TYPE_STRUCT || type == SD_BUS_TYPE_VARIANT)
                return read_container(message, type, contents, depth - 1, ret);
        return read_basic(message, type, ret);
}

int bus_json(sd_bus_message *message, json_object **ret)
{
        return read_value(message, DEPTH_MAX, ret);
}
