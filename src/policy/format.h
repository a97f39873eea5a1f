/*
 * Rules and routes as the arguments of ip(8): what `ip rule add …`, `ip route replace …` (with -6
 * for IPv6) need to create exactly that object.
 */
#pragma once

#include "basics/text.h"
#include "policy/fib.h"

/* "priority 202 lookup 51870 protocol kernel". A foreign rule ends in "…": it has more than that.
 */
void rule_format(const struct rule *rule, struct text_builder *builder);

/*
 * "unreachable 10.0.0.2/32 table 51871 metric 4294967294 protocol kernel". `interface` is the name
 * of the route's device; NULL: not known, its index is shown instead. A foreign route ends in "…".
 */
void route_format(const struct route *route, const char *interface, struct text_builder *builder);
