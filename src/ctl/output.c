#include "ctl/output.h"

#include <stdio.h>
#include <string.h>

static int print(const char *text, const char *end)
{
        if (!text)
                return -ENOMEM;
        return fputs(text, stdout) < 0 || fputs(end, stdout) < 0 || fflush(stdout) != 0 ? -EIO : 0;
}

int output_json(json_object *value)
{
        return print(json_object_to_json_string_ext(
                             value, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE),
                "\n");
}

static bool has_colours(void)
{
        const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");

        return isatty(STDOUT_FILENO) && !(no_color && *no_color) && terminal &&
               strcmp(terminal, "dumb") != 0;
}

int output_table(const struct table *table)
{
        struct text_builder builder = {};
        _cleanup_free_ char *text = NULL;
        int r = table_format(table, TABLE_WIDTH, has_colours(), &builder), taken;

        taken = text_take(&builder, &text);
        if (r >= 0)
                r = taken;
        return r < 0 ? r : print(text, "");
}
