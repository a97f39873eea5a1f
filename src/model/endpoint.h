/*
 * The API endpoint that the kubeconfig names: its port and the addresses its host has. It is an
 * exemption by itself (policy/verdict.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basics/prefix.h"

struct endpoint {
        uint16_t port;             /* 0: there is no endpoint yet */
        struct address *addresses; /* sorted, unique; never loopback */
        size_t n_addresses;
};

/*
 * Adds an address; loopback ones are passed over (nothing of theirs leaves the host).
 * 1: added; 0: it was there, or is loopback; −ENOMEM.
 */
int endpoint_add_address(struct endpoint *endpoint, const struct address *address);
bool endpoint_has_address(const struct endpoint *endpoint, const struct address *address);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
int endpoint_copy(const struct endpoint *endpoint, struct endpoint *ret);
void endpoint_deinit(struct endpoint *endpoint);
