#include "basics/sort.h"

#include <stdlib.h>
#include <string.h>

struct sorting {
        size_t n;
        size_t size;
        int (*compare)(const void *a, const void *b);
};

static char *at(const struct sorting *s, const char *items, size_t i)
{
        return (char *)items + i * s->size;
}

/* The end of the run that begins there. */
static size_t run_end(const struct sorting *s, const char *items, size_t begin)
{
        size_t end = begin + 1;

        while (end < s->n && s->compare(at(s, items, end - 1), at(s, items, end)) <= 0)
                end++;
        return end < s->n ? end : s->n;
}

/* [begin, middle) and [middle, end) of `from` into the same places of `to`. */
static void merge(const struct sorting *s, const char *from, char *to, size_t begin, size_t middle,
        size_t end)
{
        size_t i = begin, j = middle;
        char *out = at(s, to, begin);

        for (; i < middle && j < end; out += s->size)
                if (s->compare(at(s, from, i), at(s, from, j)) <= 0)
                        memcpy(out, at(s, from, i++), s->size);
                else
                        memcpy(out, at(s, from, j++), s->size);
        memcpy(out, at(s, from, i), (middle - i) * s->size);
        out += (middle - i) * s->size;
        memcpy(out, at(s, from, j), (end - j) * s->size);
}

/* Merges each two neighbouring runs; how many runs there are then. */
static size_t pass(const struct sorting *s, const char *from, char *to)
{
        size_t runs = 0;

        for (size_t begin = 0, end; begin < s->n; begin = end, runs++) {
                size_t middle = run_end(s, from, begin);

                end = middle < s->n ? run_end(s, from, middle) : middle;
                merge(s, from, to, begin, middle, end);
        }
        return runs;
}

void sort_runs(void *items, size_t n, size_t size, int (*compare)(const void *a, const void *b))
{
        const struct sorting s = {n, size, compare};
        char *from = items, *to, *room;
        size_t runs;

        if (n == 0 || run_end(&s, items, 0) == n)
                return;
        room = to = malloc(n * size);
        if (!room) {
                qsort(items, n, size, compare);
                return;
        }
        do {
                char *other = from;

                runs = pass(&s, from, to);
                from = to;
                to = other;
        } while (runs > 1);
        if (from != items)
                memcpy(items, from, n * size);
        free(room);
}
