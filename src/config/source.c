#include "config/source.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "basics/fileio.h"

#define SHOWN_MAX 80

/* Where the look-over stands in the text. */
struct scanner {
        const char *path;
        const char *p;
        unsigned line;
        struct error *error;
};

/*
 * Behind a "…", as libconfig sees it: a backslash takes the next character along. One that never
 * ends is found here, because libconfig would name the file's last line (and lose memory).
 */
static int skip_string(struct scanner *s)
{
        unsigned line = s->line;

        for (s->p++; *s->p && *s->p != '"'; s->p++) {
                if (*s->p == '\\' && s->p[1])
                        s->p++;
                if (*s->p == '\n')
                        s->line++;
        }
        if (!*s->p)
                return error_set(s->error, -EINVAL, "%s:%u: a string begins here and does not end",
                        s->path, line);
        s->p++;
        return 0;
}

/* True when a comment began here and was skipped. */
static bool skip_comment(struct scanner *s)
{
        if (*s->p == '#' || (s->p[0] == '/' && s->p[1] == '/')) {
                s->p += strcspn(s->p, "\n");
                return true;
        }
        if (s->p[0] != '/' || s->p[1] != '*')
                return false;
        for (s->p += 2; *s->p && !(s->p[0] == '*' && s->p[1] == '/'); s->p++)
                if (*s->p == '\n')
                        s->line++;
        if (*s->p)
                s->p += 2;
        return true;
}

/*
 * A word that begins with a digit: libconfig 1.5 cuts an integer without the suffix L to 32 bits
 * and says nothing.
 */
static int check_number(struct scanner *s)
{
        const char *start = s->p;
        bool hexadecimal = start[0] == '0' && (start[1] == 'x' || start[1] == 'X');
        unsigned long long value;
        char *end;

        while (isalnum((unsigned char)*s->p) || *s->p == '.')
                s->p++;
        errno = 0;
        value = strtoull(start, &end, hexadecimal ? 16 : 10);
        if (end != s->p || (errno == 0 && value <= INT32_MAX))
                return 0;
        return error_set(s->error, -ERANGE,
                "%s:%u: the number %.*s is too large (above %d it needs the suffix L)", s->path,
                s->line, (int)(s->p - start > 40 ? 40 : s->p - start), start, INT32_MAX);
}

static void skip_word(struct scanner *s)
{
        while (isalnum((unsigned char)*s->p) || strchr("_-*", *s->p)) {
                if (!*s->p)
                        return;
                s->p++;
        }
}

static int look_over(struct scanner *s)
{
        static const char include[] = "@include";
        int r = 0;

        while (*s->p && r >= 0) {
                if (*s->p == '"') {
                        r = skip_string(s);
                } else if (skip_comment(s)) {
                        continue;
                } else if (isdigit((unsigned char)*s->p)) {
                        r = check_number(s);
                } else if (isalpha((unsigned char)*s->p)) {
                        skip_word(s);
                } else if (strncmp(s->p, include, sizeof(include) - 1) == 0) {
                        r = error_set(s->error, -EINVAL,
                                "%s:%u: @include: not supported, one file is the whole "
                                "configuration",
                                s->path, s->line);
                } else {
                        if (*s->p == '\n')
                                s->line++;
                        s->p++;
                }
        }
        return r;
}

static unsigned count_lines(const char *text)
{
        unsigned lines = 1;

        for (; *text; text++)
                if (*text == '\n')
                        lines++;
        return lines;
}

int config_source_read(const char *path, char **ret, struct error *error)
{
        _cleanup_free_ char *text = NULL;
        struct scanner scanner = {.path = path, .line = 1, .error = error};
        size_t size = 0;
        int r;

        r = file_read(path, CONFIG_FILE_MAX, &text, &size);
        if (r == -EFBIG)
                return error_set(error, r, "%s: larger than %d bytes", path, CONFIG_FILE_MAX);
        if (r == -EINVAL)
                return error_set(error, r, "%s: not a regular file", path);
        if (r < 0)
                return error_set(error, r, "%s: %s", path, strerror(-r));
        if (strlen(text) != size)
                return error_set(
                        error, -EINVAL, "%s:%u: a NUL byte in the text", path, count_lines(text));
        scanner.p = text;
        r = look_over(&scanner);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(text);
        return 0;
}

char *config_source_line(const char *text, int number)
{
        const char *end;
        char *line;

        for (int i = 1; i < number; i++) {
                const char *newline = strchr(text, '\n');

                if (!newline)
                        break;
                text = newline + 1;
        }
        text += strspn(text, " \t");
        end = text + strcspn(text, "\n");
        while (end > text && isspace((unsigned char)end[-1]))
                end--;
        if (asprintf(&line, "%.*s", (int)(end - text > SHOWN_MAX ? SHOWN_MAX : end - text), text) <
                0)
                return NULL;
        return line;
}
