/*
 * Where our policy lies in the kernel: the numbers of our tables and priorities.
 *
 *   base+0  fwmark MARK                  lookup main    the device's own packets leave by main …
 *   base+1  fwmark MARK                  unreachable    … or not at all, never by the device again
 *   base+2                               lookup PODS    remote pod prefixes
 *   base+3  [to A] [iif lo] proto ports  lookup main    exemptions of few nodes, the reply side
 *   base+4  proto ports                  lookup T       exemptions of many nodes (complement.h): …
 *   base+5  proto ports                  goto base+7    … steered but for those nodes
 *   base+6                               lookup NODES   remote node addresses, and `protect`
 *   base+7                               nop            where the gotos lead; there only with them
 *
 * Tables: PODS, NODES, and eight for complements.
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
        LAYOUT_COMPLEMENT,
        LAYOUT_GOTO,
        LAYOUT_NODES,
        LAYOUT_END,
        LAYOUT_PRIORITIES = 10, /* the whole band, room for what is to come */
};

enum layout_table {
        LAYOUT_TABLE_PODS,
        LAYOUT_TABLE_NODES,
        LAYOUT_TABLE_COMPLEMENT, /* the first of those */
        LAYOUT_TABLES = 10,
};

/* Below the local rule, also where Cilium has moved it to 100; above the main rule at 32766. */
#define PRIORITY_BASE_MIN 101u
#define PRIORITY_BASE_MAX 32000u
/* Above what the kernel, distributions and Cilium use. */
#define TABLE_BASE_MIN    300u
#define TABLE_BASE_MAX    4294967000u

uint32_t layout_priority(const struct layout *layout, enum layout_priority priority);
uint32_t layout_table(const struct layout *layout, unsigned table);
bool layout_has_priority(const struct layout *layout, uint32_t priority);
bool layout_has_table(const struct layout *layout, uint32_t table);
