/*
 * Which of the kernel's objects are ours: by place (band, tables) and by exact shape. Protocol
 * numbers cannot tell: a protocol of our own would be deleted by systemd-networkd, so ours carry
 * `kernel` as Cilium's do.
 */
#pragma once

#include "policy/fib.h"
#include "policy/layout.h"

/* What a rule or route is in our layout, which decides when it may be added or deleted. */
enum shape {
        SHAPE_ALIEN, /* not ours */
        SHAPE_MARK,
        SHAPE_MARK_GUARD,
        SHAPE_PODS,
        SHAPE_EXEMPTION,
        SHAPE_COMPLEMENT,
        SHAPE_GOTO,
        SHAPE_NODES,
        SHAPE_END,
        SHAPE_TWIN,
        SHAPE_SINK,
        SHAPE_DEVICE,
        SHAPE_THROW,
};

/* SHAPE_MARK … SHAPE_END by the first layout that fits, else SHAPE_ALIEN. */
enum shape rule_shape(const struct layout *layouts, size_t n_layouts, const struct rule *rule);
/* SHAPE_TWIN … SHAPE_THROW in a table of one of the layouts, else SHAPE_ALIEN. */
enum shape route_shape(const struct layout *layouts, size_t n_layouts, const struct route *route);
/* True when the route lies in the pod table of one of the layouts. */
bool route_in_pods_table(const struct layout *layouts, size_t n_layouts, const struct route *route);
/* True when it lies in one of the complement tables of one of the layouts. */
bool route_in_complement_table(
        const struct layout *layouts, size_t n_layouts, const struct route *route);

/*
 * A rule of an earlier layout that looks up a table which the wanted layout (the first) uses for
 * something else; NULL: there is none. While it stands, what is written into that table for the one
 * use would be met by the other: pods' prefixes ahead of exemptions, or the other way round.
 */
const struct rule *layout_clash(
        const struct layout *layouts, size_t n_layouts, const struct fib *actual);

/* A rule of ours to begin with: it looks the main table up, and matches everything. */
struct rule rule_begin(const struct layout *layout, int family, enum layout_priority priority);
