/*
 * Policy rules as netlink messages (linux/fib_rules.h, net/core/fib_rules.c).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "policy/fib.h"

struct nlmsghdr;

/*
 * Writes RTM_NEWRULE or RTM_DELRULE (`type`) with the full selector into NETLINK_MESSAGE_MAX bytes
 * at `buffer`; the flags of the header are the caller's. Returns the message. The rule must not be
 * foreign.
 */
struct nlmsghdr *rule_encode(void *buffer, uint16_t type, const struct rule *rule);

/* The request that dumps the rules of one family; strict checking allows no filter. */
struct nlmsghdr *rule_encode_dump(void *buffer, uint8_t family);

/*
 * A rule from a dump or a notification. What struct rule cannot express makes it foreign; the
 * fields that it can are filled in all the same. A rule that we wrote decodes to what was encoded.
 * −EBADMSG: not a well-formed rule. −EAFNOSUPPORT: of another family than IPv4 and IPv6.
 */
int rule_decode(const struct nlmsghdr *message, struct rule *ret);

/*
 * True when RTM_DELRULE for `deleted` would take `present`: in the kernel's comparison a selector
 * that is absent matches every value, so that a delete may hit a more specific rule that stands
 * before the meant one.
 */
bool rule_delete_matches(const struct rule *deleted, const struct rule *present);
