/*
 * What can happen to a small cluster and its configuration: each change fills the world of before
 * and the world of after it.
 */
#pragma once

#include "world.h"

/* SELF, the control planes cp-1 (11) and cp-2 (12), the workers w-1 (21) and w-2 (22). */
void world_init_small(struct world *world);

/* Those of few objects. */
#define CHANGES(X)              \
        X(first_programming)    \
        X(first_behind_protect) \
        X(nodes_join)           \
        X(nodes_leave)          \
        X(roles_change)         \
        X(our_role_changes)     \
        X(addresses_swapped)    \
        X(complement_comes)     \
        X(complement_goes)      \
        X(complement_changes)   \
        X(tables_moved)         \
        X(band_moved_up)        \
        X(band_moved_down)      \
        X(layout_moved)         \
        X(bands_overlap)        \
        X(exemptions_changed)   \
        X(endpoint_added)       \
        X(exclusion_added)      \
        X(exclusion_removed)    \
        X(protection_added)     \
        X(protection_removed)   \
        X(device_comes)         \
        X(joins_without_device) \
        X(bypass_ends)

#define DECLARE_CHANGE(name) void change_##name(struct world *before, struct world *after);
CHANGES(DECLARE_CHANGE)
/* 200 nodes go, come, or get other addresses. */
DECLARE_CHANGE(many_at_once)
