#include "policy/steps.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "basics/array.h"

int steps_add(struct steps *steps, const struct step *step)
{
        if (!ARRAY_RESERVE(steps->items, steps->allocated, steps->n + 1))
                return -ENOMEM;
        steps->items[steps->n++] = *step;
        return 0;
}

/* A throw decides in front of a twin of the same prefix as long as it is there. */
static int compare_throws(const struct route *a, const struct route *b)
{
        return (int)(b->type == RTN_THROW) - (int)(a->type == RTN_THROW);
}

/* Longest first; then a throw, the twin (the worst metric), the sink, the device route. */
static int compare_additions(const struct route *a, const struct route *b)
{
        int r = compare_throws(a, b);

        if (a->destination.length != b->destination.length)
                return (int)b->destination.length - (int)a->destination.length;
        return r != 0 ? r : -route_key_compare(a, b);
}

/* Shortest first; then the device route, the sink, the twin, and a throw last. */
static int compare_deletions(const struct route *a, const struct route *b)
{
        int r = -compare_throws(a, b);

        if (a->destination.length != b->destination.length)
                return (int)a->destination.length - (int)b->destination.length;
        return r != 0 ? r : route_key_compare(a, b);
}

static int compare_steps(const void *x, const void *y)
{
        const struct step *a = x, *b = y;

        if (a->phase != b->phase)
                return (int)a->phase - (int)b->phase;
        if (a->kind != b->kind)
                return (int)a->kind - (int)b->kind;
        switch (a->kind) {
        case STEP_REPLACE_ROUTE: return compare_additions(&a->route, &b->route);
        case STEP_DELETE_ROUTE: return compare_deletions(&a->route, &b->route);
        default: return rule_compare(&a->rule, &b->rule);
        }
}

void steps_sort(struct steps *steps)
{
        if (steps->n > 0)
                qsort(steps->items, steps->n, sizeof(steps->items[0]), compare_steps);
}

void steps_keep_what_stands(struct steps *steps)
{
        size_t kept = 0;

        for (size_t i = 0; i < steps->n; i++)
                if (!steps->items[i].weakens)
                        steps->items[kept++] = steps->items[i];
        steps->n = kept;
}

void steps_deinit(struct steps *steps)
{
        free(steps->items);
        *steps = (struct steps){};
}
