/*
 * Under which tables and priorities a policy was ever written, so that after a change of table_base
 * or priority_base what an earlier run left is found and taken away. `layouts.json` in the state
 * directory: {"format":1,"layouts":[{"table_base":51870,"priority_base":200}]}.
 *
 * To be written BEFORE the first rule of a layout, and an entry removed AFTER its last one is gone.
 */
#pragma once

#include "basics/error.h"
#include "policy/layout.h"

#define LAYOUT_RECORD_FILE "layouts.json"
#define LAYOUT_RECORD_MAX  8

struct layout_record {
        struct layout layouts[LAYOUT_RECORD_MAX]; /* in the order in which they came */
        size_t n_layouts;
};

/* 1: added; 0: it was there; −ENOSPC: the record is full. */
int layout_record_add(struct layout_record *record, const struct layout *layout);
/* 1: removed; 0: there was none. */
int layout_record_remove(struct layout_record *record, const struct layout *layout);

int layout_record_write(const char *path, const struct layout_record *record, struct error *error);
/*
 * −ENOENT: there is none. −EBADMSG: not such a file, more than LAYOUT_RECORD_MAX entries, or one
 * that lies outside the bounds of policy/layout.h. Otherwise what file_read() returns.
 */
int layout_record_read(const char *path, struct layout_record *ret, struct error *error);
