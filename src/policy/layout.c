#include "policy/layout.h"

uint32_t layout_priority(const struct layout *layout, enum layout_priority priority)
{
        return layout->priority_base + (uint32_t)priority;
}

uint32_t layout_table(const struct layout *layout, unsigned table)
{
        return layout->table_base + (uint32_t)table;
}

bool layout_has_priority(const struct layout *layout, uint32_t priority)
{
        return priority >= layout->priority_base &&
               priority - layout->priority_base < LAYOUT_PRIORITIES;
}

bool layout_has_table(const struct layout *layout, uint32_t table)
{
        return table >= layout->table_base && table - layout->table_base < LAYOUT_TABLES;
}
