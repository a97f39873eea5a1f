#include "basics/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void error_fill(struct error *error, int code, const char *format, ...)
{
        va_list arguments;

        if (!error)
                return;
        error->code = code;
        va_start(arguments, format);
        vsnprintf(error->text, sizeof(error->text), format, arguments);
        va_end(arguments);
}

int error_prefix(struct error *error, const char *format, ...)
{
        char prefix[sizeof(error->text)], text[2 * sizeof(error->text) + 2];
        va_list arguments;

        if (!error)
                return -EINVAL;
        va_start(arguments, format);
        vsnprintf(prefix, sizeof(prefix), format, arguments);
        va_end(arguments);
        snprintf(text, sizeof(text), "%s: %s", prefix, error->text);
        memcpy(error->text, text, sizeof(error->text) - 1);
        return error->code;
}
