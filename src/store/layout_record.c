#include "store/layout_record.h"

#include <string.h>

#include "basics/fileio.h"
#include "basics/text.h"
#include "store/json.h"

#define SIZE_LIMIT 4096 /* bytes */
#define FORMAT     1

static size_t position(const struct layout_record *record, const struct layout *layout)
{
        size_t i = 0;

        while (i < record->n_layouts &&
                (record->layouts[i].table_base != layout->table_base ||
                        record->layouts[i].priority_base != layout->priority_base))
                i++;
        return i;
}

int layout_record_add(struct layout_record *record, const struct layout *layout)
{
        if (position(record, layout) < record->n_layouts)
                return 0;
        if (record->n_layouts == LAYOUT_RECORD_MAX)
                return -ENOSPC;
        record->layouts[record->n_layouts++] = *layout;
        return 1;
}

int layout_record_remove(struct layout_record *record, const struct layout *layout)
{
        size_t i = position(record, layout);

        if (i == record->n_layouts)
                return 0;
        record->n_layouts--;
        memmove(&record->layouts[i], &record->layouts[i + 1],
                (record->n_layouts - i) * sizeof(record->layouts[0]));
        return 1;
}

int layout_record_write(const char *path, const struct layout_record *record, struct error *error)
{
        struct text_builder builder = {};
        _cleanup_free_ char *text = NULL;
        int r;

        text_append(&builder, "{\"format\":%d,\"layouts\":[", FORMAT);
        for (size_t i = 0; i < record->n_layouts; i++)
                text_append(&builder, "%s{\"table_base\":%u,\"priority_base\":%u}",
                        i > 0 ? "," : "", record->layouts[i].table_base,
                        record->layouts[i].priority_base);
        text_append(&builder, "]}\n");
        r = text_take(&builder, &text);
        if (r >= 0)
                r = file_write_atomic(path, text, strlen(text), 0600);
        if (r < 0)
                return error_set(error, r, "%s: %s", path, strerror(-r));
        return 0;
}

static bool read_layouts(json_object *root, struct layout_record *record)
{
        json_object *list = json_member(root, "layouts", json_type_array);
        int64_t format;

        if (!list || !json_number(root, "format", FORMAT, FORMAT, &format) ||
                json_object_array_length(list) > LAYOUT_RECORD_MAX)
                return false;
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                json_object *entry = json_object_array_get_idx(list, i);
                struct layout layout;
                int64_t table, priority;

                if (!json_number(entry, "table_base", TABLE_BASE_MIN, TABLE_BASE_MAX, &table) ||
                        !json_number(entry, "priority_base", PRIORITY_BASE_MIN, PRIORITY_BASE_MAX,
                                &priority))
                        return false;
                layout.table_base = (uint32_t)table;
                layout.priority_base = (uint32_t)priority;
                layout_record_add(record, &layout);
        }
        return true;
}

int layout_record_read(const char *path, struct layout_record *ret, struct error *error)
{
        _cleanup_(json_putp) json_object *root = NULL;
        struct layout_record record = {};
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        r = file_read(path, SIZE_LIMIT, &text, &size);
        if (r == -EFBIG || r == -EINVAL)
                r = -EBADMSG;
        if (r < 0)
                return error_set(error, r, "%s: %s", path, strerror(-r));
        root = json_parse(text, size);
        if (!root || !read_layouts(root, &record))
                return error_set(error, -EBADMSG, "%s: not a record of layouts", path);
        *ret = record;
        return 0;
}
