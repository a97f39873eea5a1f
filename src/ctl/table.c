#include "ctl/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "basics/array.h"

#define GAP          2
#define COLUMNS_MAX  16
/* Narrower than that nothing can be read. */
#define COLUMN_FLOOR 4

static const char *const escapes[] = {
        [COLOUR_NONE] = "",
        [COLOUR_GOOD] = "\033[32m",
        [COLOUR_BAD] = "\033[1;31m",
        [COLOUR_WARNING] = "\033[33m",
        [COLOUR_DIM] = "\033[2m",
};

/* What is shown comes from elsewhere: no escape sequence of a process' name reaches the terminal.
 */
static void make_printable(char *text)
{
        for (; *text; text++)
                if (((unsigned char)*text < ' ' && *text != '\n') || *text == 0x7f)
                        *text = '?';
}

void table_add(struct table *table, enum colour colour, const char *format, ...)
{
        va_list arguments;
        char *text;
        int r;

        va_start(arguments, format);
        r = vasprintf(&text, format, arguments);
        va_end(arguments);
        if (r < 0 || !ARRAY_RESERVE(table->cells, table->allocated, table->n_cells + 1)) {
                table->failed = true;
                if (r >= 0)
                        free(text);
                return;
        }
        make_printable(text);
        table->cells[table->n_cells++] = (struct table_cell){.text = text, .colour = colour};
}

void table_deinit(struct table *table)
{
        for (size_t i = 0; i < table->n_cells; i++)
                free(table->cells[i].text);
        free(table->cells);
        *table = (struct table){};
}

/* Of UTF-8 each character counts once; wide ones are not expected here. */
static size_t count(const char *text, size_t size)
{
        size_t n = 0;

        for (size_t i = 0; i < size; i++)
                n += ((unsigned char)text[i] & 0xc0) != 0x80;
        return n;
}

/* The bytes of at most `width` characters. */
static size_t cut(const char *text, size_t size, size_t width)
{
        size_t n = 0, i;

        for (i = 0; i < size; i++)
                if (((unsigned char)text[i] & 0xc0) != 0x80 && n++ == width)
                        break;
        return i;
}

/*
 * The next line of the text that fits: its size, and in *ret_rest where the next one begins (NULL:
 * it was the last).
 */
static size_t take_line(const char *text, size_t width, const char **ret_rest)
{
        size_t size = strcspn(text, "\n"), fits = cut(text, size, width), end = fits;

        if (fits == size) {
                *ret_rest = text[size] == '\n' ? text + size + 1 : NULL;
                return size;
        }
        /* At the last space, if there is one; else within the word. */
        while (end > 0 && text[end] != ' ')
                end--;
        if (end == 0) {
                *ret_rest = text + fits;
                return fits;
        }
        *ret_rest = text + end + strspn(text + end, " ");
        return end;
}

static size_t natural_width(const char *text)
{
        size_t width = 0;

        for (const char *rest = text; rest;) {
                const char *line = rest;
                size_t n = count(line, take_line(line, SIZE_MAX, &rest));

                width = n > width ? n : width;
        }
        return width;
}

static size_t longest_word(const char *text)
{
        size_t longest = 0;

        while (*text) {
                size_t size = strcspn(text, " \n"), n = count(text, size);

                longest = n > longest ? n : longest;
                text += size;
                text += strspn(text, " \n");
        }
        return longest;
}

struct measures {
        size_t width[COLUMNS_MAX];
        size_t word[COLUMNS_MAX]; /* narrower than that a column breaks words */
};

static void note_text(struct measures *m, size_t column, const char *text)
{
        size_t width = natural_width(text), word = longest_word(text);

        m->width[column] = width > m->width[column] ? width : m->width[column];
        m->word[column] = word > m->word[column] ? word : m->word[column];
}

/* The widest of the columns that may give way and still can; SIZE_MAX: none. */
static size_t find_widest(const struct table *table, const struct measures *m, bool break_words)
{
        size_t widest = SIZE_MAX;

        for (size_t c = 0; c < table->n_columns; c++) {
                size_t floor = break_words ? COLUMN_FLOOR : m->word[c];

                if (table->columns[c].wraps && m->width[c] > floor &&
                        (widest == SIZE_MAX || m->width[c] > m->width[widest]))
                        widest = c;
        }
        return widest;
}

static void measure(const struct table *table, size_t width, struct measures *ret)
{
        size_t total = 0;

        for (size_t c = 0; c < table->n_columns; c++) {
                if (table->columns[c].heading)
                        note_text(ret, c, table->columns[c].heading);
                for (size_t i = c; i < table->n_cells; i += table->n_columns)
                        note_text(ret, c, table->cells[i].text);
                total += ret->width[c] + (c > 0 ? GAP : 0);
        }
        for (; total > width; total--) {
                size_t c = find_widest(table, ret, false);

                if (c == SIZE_MAX)
                        c = find_widest(table, ret, true);
                if (c == SIZE_MAX)
                        return;
                ret->width[c]--;
        }
}

static void append_spaces(size_t n, struct text_builder *builder)
{
        text_append(builder, "%*s", (int)n, "");
}

/* One line of one cell. Spaces that would end the line are owed, and paid before what follows. */
static void append_cell(const struct table_column *column, size_t width, const char *text,
        size_t size, enum colour colour, size_t *owed, struct text_builder *builder)
{
        size_t padding = width - count(text, size);

        if (size == 0) {
                *owed += width;
                return;
        }
        append_spaces(*owed + (column->right ? padding : 0), builder);
        *owed = column->right ? 0 : padding;
        text_append(builder, "%s%.*s%s", escapes[colour], (int)size, text,
                colour != COLOUR_NONE ? "\033[0m" : "");
}

/* `texts` are the cells of one row; lines until all of them are told. */
static void append_row(const struct table *table, const size_t widths[static COLUMNS_MAX],
        const char *texts[static COLUMNS_MAX], const enum colour colours[static COLUMNS_MAX],
        struct text_builder *builder)
{
        bool more = true;

        while (more) {
                size_t owed = 0;

                more = false;
                for (size_t c = 0; c < table->n_columns; c++) {
                        const char *text = texts[c] ? texts[c] : "";
                        size_t size = texts[c] ? take_line(text, widths[c], &texts[c]) : 0;

                        owed += c > 0 ? GAP : 0;
                        append_cell(&table->columns[c], widths[c], text, size, colours[c], &owed,
                                builder);
                        more |= texts[c] != NULL;
                }
                text_append(builder, "\n");
        }
}

int table_format(
        const struct table *table, size_t width, bool colours, struct text_builder *builder)
{
        enum colour paint[COLUMNS_MAX] = {};
        const char *texts[COLUMNS_MAX];
        struct measures m = {};

        if (table->failed || table->n_columns > COLUMNS_MAX)
                return table->failed ? -ENOMEM : -EINVAL;
        measure(table, width, &m);
        if (table->columns[0].heading) {
                for (size_t c = 0; c < table->n_columns; c++) {
                        texts[c] = table->columns[c].heading;
                        paint[c] = colours ? COLOUR_DIM : COLOUR_NONE;
                }
                append_row(table, m.width, texts, paint, builder);
        }
        for (size_t i = 0; i + table->n_columns <= table->n_cells; i += table->n_columns) {
                for (size_t c = 0; c < table->n_columns; c++) {
                        texts[c] = table->cells[i + c].text;
                        paint[c] = colours ? table->cells[i + c].colour : COLOUR_NONE;
                }
                append_row(table, m.width, texts, paint, builder);
        }
        return builder->failed ? -ENOMEM : 0;
}
