/*
 * One other node as the outside is told of it: what is steered to it, and what WireGuard does with
 * that. A view for the duration of one call: everything is borrowed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer_view {
        const char *name;
        bool control_plane;
        const char *const *addresses; /* NULL-terminated, as the next two: A(R) */
        const char *const *pod_prefixes;
        const char *const *exemptions; /* the names of those that select it */
        /* "carried", "missing", "mismatched", "stale", "none" (of it is steered), "unknown" */
        const char *carriage;
        const char *key;               /* of the peer that carries it, base64; "": none is known */
        const char *node_key;          /* as its CiliumNode names it; "": it does not */
        const char *endpoint;          /* where that peer's packets go; "": nowhere yet */
        uint64_t handshake;            /* unix time, s, of the last one; 0: never */
        uint64_t pod_prefixes_carried; /* those that its peer carries a part of */
        uint64_t received_bytes;
        uint64_t sent_bytes;
};
