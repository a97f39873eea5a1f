/*
 * Addresses, ports and protocols as they are typed.
 */
#pragma once

#include <stdint.h>

#include "basics/prefix.h"

/*
 * "10.0.0.1", "10.0.0.1:6443", "fd00::1", "[fd00::1]:6443", "cp-1", "cp-1:6443". *ret_host is the
 * part before the port in fresh memory; *ret_port is 0 when there is none. −EINVAL.
 */
int host_port_parse(const char *text, char **ret_host, uint16_t *ret_port);
/* The same where the host must be an address. */
int address_port_parse(const char *text, struct address *ret, uint16_t *ret_port);
/* "tcp", "udp", "icmp" or a number. `family` chooses between ICMP and ICMPv6. −EINVAL. */
int any_protocol_parse(const char *text, int family, uint8_t *ret);
/* Decimal or 0x…; −EINVAL. */
int mark_parse(const char *text, uint32_t *ret);
