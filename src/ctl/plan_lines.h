/*
 * A policy as lines of ip(8) commands: compared with another one, and taken apart for programs.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

struct plan_lines {
        char *text;   /* what the lines lie in */
        char **items; /* in their order, borrowed from it */
        size_t n;
};

/* Takes the text (also on failure); empty lines and those that begin with # are passed over. */
int plan_lines_take(char *text, struct plan_lines *ret);
void plan_lines_deinit(struct plan_lines *lines);

/*
 * Fills *ret (the caller frees it) with the lines of `a` that are not in `b`, in their order. The
 * order says nothing of the policy. −ENOMEM.
 */
int plan_lines_missing(
        const struct plan_lines *a, const struct plan_lines *b, char ***ret, size_t *ret_n);

/*
 * A list of {"Command", "Family" (absent for links), "Object", "Action", "Arguments"}: the
 * arguments as ip(8) names them, numbers as numbers; "to" is a route's destination, "dev" a link's
 * name, "type" a word such as unreachable. NULL: out of memory.
 */
json_object *plan_lines_json(char *const *lines, size_t n);
