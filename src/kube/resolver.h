/*
 * A host name's addresses, kept fresh without ever blocking the event loop: getaddrinfo(3) runs in
 * a detached thread that owns all it uses and hands its answer over by a socket, so the owner may
 * go at any time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "basics/error.h"
#include "basics/prefix.h"
#include "basics/util.h"

#define RESOLVER_ADDRESSES_MAX 16
#define RESOLVER_INTERVAL      UINT64_C(60000000) /* µs */

struct resolver;

/*
 * Begins to resolve at once and again every `interval` µs. A literal address is its own answer and
 * never asked for again. `resolved` is called from the event loop, never from in here: with the
 * addresses (sorted, unique) whenever they changed, or, as long as there never were any, with none
 * and an error. A failure later keeps the last addresses.
 */
int resolver_new(sd_event *event, const char *host, uint64_t interval,
        void (*resolved)(void *userdata, const struct address *addresses, size_t n,
                const struct error *error),
        void *userdata, struct resolver **ret);
struct resolver *resolver_free(struct resolver *resolver);
DEFINE_CLEANUP(struct resolver *, resolver_free)

/* Resolves again now, unless that is under way or was less than a second ago. */
void resolver_refresh(struct resolver *resolver);
