#include "ctl/plan_lines.h"

#include <stdlib.h>
#include <string.h>

#include "basics/text.h"

int plan_lines_take(char *text, struct plan_lines *ret)
{
        struct plan_lines lines = {.text = text};
        size_t n = 1;
        char *rest = text, *line;

        for (const char *p = text; *p; p++)
                n += *p == '\n';
        lines.items = calloc(n, sizeof(*lines.items));
        if (!lines.items) {
                free(text);
                return -ENOMEM;
        }
        while ((line = strsep(&rest, "\n")))
                if (*line && *line != '#')
                        lines.items[lines.n++] = line;
        *ret = lines;
        return 0;
}

void plan_lines_deinit(struct plan_lines *lines)
{
        free(lines->items);
        free(lines->text);
        *lines = (struct plan_lines){};
}

static int compare_lines(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

int plan_lines_missing(
        const struct plan_lines *a, const struct plan_lines *b, char ***ret, size_t *ret_n)
{
        _cleanup_free_ char **sorted = calloc(b->n + 1, sizeof(*sorted));
        char **missing = calloc(a->n + 1, sizeof(*missing));
        size_t n = 0;

        if (!sorted || !missing) {
                free(missing);
                return -ENOMEM;
        }
        if (b->n > 0) {
                memcpy(sorted, b->items, b->n * sizeof(*sorted));
                qsort(sorted, b->n, sizeof(*sorted), compare_lines);
        }
        for (size_t i = 0; i < a->n; i++)
                if (!bsearch(&a->items[i], sorted, b->n, sizeof(*sorted), compare_lines))
                        missing[n++] = a->items[i];
        *ret = missing;
        *ret_n = n;
        return 0;
}

static json_object *new_value(const char *text)
{
        uint64_t number;

        return text_to_uint(text, INT64_MAX, &number) >= 0 ? json_object_new_uint64(number)
                                                           : json_object_new_string(text);
}

/* Takes the value. */
static int add(json_object *object, const char *name, json_object *value)
{
        if (value && json_object_object_add(object, name, value) >= 0)
                return 0;
        json_object_put(value);
        return -ENOMEM;
}

/* Words that stand alone. */
static bool is_type(const char *word)
{
        static const char *const words[] = {"unreachable", "throw", "nop", "up"};

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (strcmp(word, words[i]) == 0)
                        return true;
        return false;
}

/* From there on; `first`: what the first word is that stands alone and is no type, NULL: nothing.
 */
static int add_arguments(json_object *object, const char *first, char *rest)
{
        int r = 0;
        char *word;

        while (r >= 0 && (word = strsep(&rest, " "))) {
                char *value = NULL;

                if (!*word)
                        continue;
                if (is_type(word))
                        r = add(object, "type", json_object_new_string(word));
                else if (first)
                        r = add(object, first, json_object_new_string(word));
                else if ((value = strsep(&rest, " ")))
                        r = add(object, word, new_value(value));
                if (!is_type(word))
                        first = NULL;
        }
        return r;
}

/* "ip [-4|-6] OBJECT ACTION ARGUMENTS", cut up in place. */
static int fill_command(json_object *object, char *words)
{
        json_object *arguments = json_object_new_object();
        const char *what, *action, *first;
        char *rest = words, *word;
        int r = arguments ? 0 : -ENOMEM;

        (void)strsep(&rest, " ");
        word = strsep(&rest, " ");
        if (r >= 0 && word && word[0] == '-') {
                r = add(object, "Family", new_value(word + 1));
                word = strsep(&rest, " ");
        }
        what = word ? word : "";
        action = rest ? strsep(&rest, " ") : "";
        first = strcmp(what, "route") == 0 ? "to" : strcmp(what, "link") == 0 ? "dev" : NULL;
        if (r >= 0)
                r = add(object, "Object", json_object_new_string(what));
        if (r >= 0)
                r = add(object, "Action", json_object_new_string(action));
        if (r >= 0 && rest)
                r = add_arguments(arguments, first, rest);
        if (r < 0) {
                json_object_put(arguments);
                return r;
        }
        return add(object, "Arguments", arguments);
}

static json_object *command_json(const char *line)
{
        _cleanup_free_ char *words = strdup(line);
        json_object *object = json_object_new_object();

        if (!words || !object || add(object, "Command", json_object_new_string(line)) < 0 ||
                fill_command(object, words) < 0) {
                json_object_put(object);
                return NULL;
        }
        return object;
}

json_object *plan_lines_json(char *const *lines, size_t n)
{
        json_object *list = json_object_new_array();

        for (size_t i = 0; list && i < n; i++) {
                json_object *command = command_json(lines[i]);

                if (!command || json_object_array_add(list, command) < 0) {
                        json_object_put(command);
                        json_object_put(list);
                        return NULL;
                }
        }
        return list;
}
