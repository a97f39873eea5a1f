#include "basics/text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "basics/array.h"

#define OBJECT_NAME_MAX 253

int text_to_uint(const char *text, uint64_t maximum, uint64_t *ret)
{
        uint64_t value = 0;

        if (!*text)
                return -EINVAL;
        for (const char *p = text; *p; p++) {
                uint64_t digit;

                if (*p < '0' || *p > '9')
                        return -EINVAL;
                digit = (uint64_t)(*p - '0');
                if (value > (UINT64_MAX - digit) / 10)
                        return -ERANGE;
                value = value * 10 + digit;
        }
        if (value > maximum)
                return -ERANGE;
        *ret = value;
        return 0;
}

bool text_equal(const char *a, const char *b)
{
        if (!a || !b)
                return a == b;
        return strcmp(a, b) == 0;
}

int text_replace(char **target, const char *text)
{
        char *copy = NULL;

        if (text) {
                copy = strdup(text);
                if (!copy)
                        return -ENOMEM;
        }
        free(*target);
        *target = copy;
        return 0;
}

bool text_is_object_name(const char *text)
{
        size_t length = strlen(text);

        if (length == 0 || length > OBJECT_NAME_MAX)
                return false;
        for (size_t i = 0; i < length; i++) {
                bool alphanumeric =
                        islower((unsigned char)text[i]) || isdigit((unsigned char)text[i]);
                bool inside = i > 0 && i + 1 < length;

                if (!alphanumeric && !(inside && (text[i] == '-' || text[i] == '.')))
                        return false;
        }
        return true;
}

void text_append(struct text_builder *builder, const char *format, ...)
{
        va_list arguments;
        int n;

        va_start(arguments, format);
        n = vsnprintf(NULL, 0, format, arguments);
        va_end(arguments);
        if (n < 0 || !ARRAY_RESERVE(
                             builder->text, builder->allocated, builder->length + (size_t)n + 1)) {
                builder->failed = true;
                return;
        }
        va_start(arguments, format);
        vsnprintf(builder->text + builder->length, (size_t)n + 1, format, arguments);
        va_end(arguments);
        builder->length += (size_t)n;
}

int text_take(struct text_builder *builder, char **ret)
{
        if (!builder->text && !builder->failed)
                text_append(builder, "%s", "");
        if (builder->failed) {
                text_deinit(builder);
                return -ENOMEM;
        }
        *ret = builder->text;
        *builder = (struct text_builder){};
        return 0;
}

void text_deinit(struct text_builder *builder)
{
        free(builder->text);
        *builder = (struct text_builder){};
}
