/*
 * Tables for people: columns that fit a width, cells that wrap.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "basics/text.h"

/* What a terminal shows without breaking lines, whatever its size. */
#define TABLE_WIDTH 100

enum colour {
        COLOUR_NONE,
        COLOUR_GOOD,
        COLOUR_BAD,
        COLOUR_WARNING,
        COLOUR_DIM,
};

struct table_column {
        const char *heading; /* NULL in all columns: no heading */
        bool right;          /* numbers, labels */
        bool wraps;          /* gives way when the table is too wide */
};

struct table_cell {
        char *text;
        enum colour colour;
};

struct table {
        const struct table_column *columns; /* borrowed */
        size_t n_columns;
        struct table_cell *cells; /* row by row */
        size_t n_cells;
        size_t allocated;
        bool failed;
};

/* The next cell, from left to right, row by row. Out of memory is remembered in `failed`. */
void table_add(struct table *table, enum colour colour, const char *format, ...) _printf_(3, 4);
void table_deinit(struct table *table);

/*
 * Appends the table, no line longer than `width` characters, as long as every column can have its
 * longest word or heading, and is broken within words where it cannot. A line feed in a cell begins
 * a new line in it; other control characters are shown as "?". `colours`: with the terminal's
 * (ECMA-48). −ENOMEM.
 */
int table_format(
        const struct table *table, size_t width, bool colours, struct text_builder *builder);
