/*
 * Where our policy lies in the kernel: the numbers of our tables and priorities.
 *
 *   base+0  fwmark MARK                  lookup main    the device's own packets leave by main …
 *   base+1  fwmark MARK                  unreachable    … or not at all, never by the device again
 *   base+2                               lookup PODS    remote pod prefixes
 *   base+3  [to A] [iif lo] proto ports  lookup main    exemptions
 *   base+4                               lookup NODES   remote node addresses, and `protect`
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct layout {
        uint32_t table_base;
        uint32_t priority_base;
};

enum layout_priority {
        LAYOUT_MARK,
        LAYOUT_MARK_GUARD,
        LAYOUT_PODS,
        LAYOUT_EXEMPTION,
        LAYOUT_NODES,
        LAYOUT_PRIORITIES = 10, /* the whole band, room for what is to come */
};

enum layout_table {
        LAYOUT_TABLE_PODS,
        LAYOUT_TABLE_NODES,
        LAYOUT_TABLES = 10,
};

/* Below the local rule, also where Cilium has moved it to 100; above the main rule at 32766. */
#define PRIORITY_BASE_MIN 101u
#define PRIORITY_BASE_MAX 32000u
/* Above what the kernel, distributions and Cilium use. */
#define TABLE_BASE_MIN    300u
#define TABLE_BASE_MAX    4294967000u

uint32_t layout_priority(const struct layout *layout, enum layout_priority priority);
uint32_t layout_table(const struct layout *layout, enum layout_table table);
bool layout_has_priority(const struct layout *layout, uint32_t priority);
bool layout_has_table(const struct layout *layout, uint32_t table);
