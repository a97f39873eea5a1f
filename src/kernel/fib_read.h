/*
 * Reads back what the kernel holds in our priority bands and tables.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "basics/error.h"
#include "policy/fib.h"
#include "policy/layout.h"

struct netlink;

/*
 * Fills *ret (zeroed by the caller; deinit with fib_deinit()) with every rule of both families
 * whose priority lies in a band of one of the layouts, and every route of their tables, ours and
 * others', sorted. The parts are read one after the other: a change between them shows as a
 * difference that the next read does not find.
 * Negative errno with words in *error (may be NULL); *ret is empty then.
 */
int kernel_fib_read(struct netlink *nl, const struct layout *layouts, size_t n_layouts,
        struct fib *ret, struct error *error);

/* False when the kernel does not have the family at all (ipv6.disable=1 at boot). */
bool kernel_has_family(struct netlink *nl, uint8_t family);

/*
 * Appends every rule of one family to *ret, in the order in which the kernel walks them. A family
 * that the kernel does not have has none.
 */
int kernel_rules_read(struct netlink *nl, uint8_t family, struct fib *ret, struct error *error);
