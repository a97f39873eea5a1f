/*
 * The payload of a snapshot file, as JSON:
 *
 *   {"server":…,"ca_sha256":…,"node_name":…,"saved_at":…,
 *    "endpoint":{"port":…,"addresses":[…]},"version":…,
 *    "nodes":[{"name":…,"labels":{…},"addresses":[…],"other_addresses":[…],
 *              "pod_prefixes":[…],"public_key":…}]}
 *
 * What is NULL or empty is left out.
 */
#pragma once

#include "basics/error.h"
#include "store/snapshot.h"

/* Compact JSON without a line feed, in fresh memory. −ENOMEM. */
int snapshot_encode(const struct snapshot *snapshot, char **ret, size_t *ret_size);

/* −EBADMSG, the text naming what is not acceptable; −ENOMEM. */
int snapshot_decode(const char *text, size_t size, struct snapshot *ret, struct error *error);
