/*
 * Netlink attributes (libmnl) to and from our values, with their sizes checked.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "basics/prefix.h"

struct nlattr;
struct nlmsghdr;

/* Appends the address; one of family 0 is left out. */
void attribute_put_address(struct nlmsghdr *message, uint16_t type, const struct address *address);

/* −EBADMSG when the payload is not exactly of that size. */
int attribute_get_u8(const struct nlattr *attribute, uint8_t *ret);
int attribute_get_u16(const struct nlattr *attribute, uint16_t *ret);
int attribute_get_u32(const struct nlattr *attribute, uint32_t *ret);
/* An address of `family`. −EBADMSG: of another size. */
int attribute_get_address(const struct nlattr *attribute, int family, struct address *ret);
/*
 * True for an attribute newer than `newest`, the last one that was known when this was written,
 * with a value of all zeros or all ones: by the kernel's habit that says "none". A kernel that
 * begins to tell one of each rule or route must not make strangers of ours.
 */
bool attribute_is_new_and_none(const struct nlattr *attribute, uint16_t newest);
/* A text with its NUL; borrowed. NULL: it is none. */
const char *attribute_get_text(const struct nlattr *attribute);

/*
 * The prefix of an address and a length from a message's header; host bits are cleared. −EBADMSG:
 * the length does not fit the family.
 */
int attribute_prefix(const struct address *address, unsigned length, struct prefix *ret);

/* The one-byte table number of a header, for a table that the attribute names in full. */
uint8_t attribute_table_byte(uint32_t table);
