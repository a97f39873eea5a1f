/*
 * A network namespace of its own for a test, with loopback up, and what the tests put into it. The
 * process stays in it; the host's network is never touched.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basics/prefix.h"
#include "kernel/netlink.h"
#include "policy/diff.h"
#include "policy/fib.h"
#include "policy/layout.h"

#define DEVICE "cilium_wg0"

/* What every test uses. */
extern const struct layout test_layout;

/* Enters a fresh namespace. False: not allowed to. */
bool fixture_enter(void);
/* For main(): true when namespaces can be made, else says on standard output that all is skipped.
 */
bool fixture_possible(void);

/* A socket in the namespace that is entered; fails the test when there is none. */
struct netlink *fixture_netlink(int protocol);
/* A persistent tun device that is up; it stands in for a WireGuard one. Returns its index. */
uint32_t fixture_tun(const char *name);
/* Until the kernel has the address in its local table: it takes a link for ready a little later. */
void fixture_wait_for_ipv6(const char *address);
/* The device with 10.0.0.1/24 and fd00::1/64. Returns its index. */
uint32_t fixture_device(void);

/* Runs a shell command that must succeed. */
void run(const char *format, ...) _printf_(1, 2);
/* The same, returning what it wrote, which the caller frees. */
char *output(const char *format, ...) _printf_(1, 2);

struct prefix prefix(const char *text);
struct address address(const char *text);

/* Rules and routes in the shapes that the policy makes. */
struct rule lookup_rule(uint8_t family, uint32_t offset, uint32_t table);
struct route twin(const char *destination, uint32_t table);
struct route device_route(const char *destination, uint32_t table, uint32_t oif);

/* Appends a step. */
void add_rule_step(
        struct steps *steps, enum step_kind kind, uint8_t phase, const struct rule *rule);
void add_route_step(
        struct steps *steps, enum step_kind kind, uint8_t phase, const struct route *route);
void steps_free(struct steps *steps);
/* Appends steps that write everything in `fib`: its routes in phase 0, its rules in phase 1. */
void add_fib_steps(struct steps *steps, const struct fib *fib);

/* Reads back what the kernel holds; fails the test when it cannot. */
void read_fib(struct netlink *nl, struct fib *ret);
/* True when both, sorted, are the same; says on standard output where they differ. */
bool fib_equal(const struct fib *a, const struct fib *b);
