/*
 * Where the kubelet's kubeconfig is when nobody says: the known distributions' places, in order.
 */
#pragma once

#include <stddef.h>

#include "kube/kubeconfig.h"

/* The places, as absolute paths; the array is static. */
const char *const *discovery_candidates(size_t *ret_n);

/*
 * The first candidate that is a kubeconfig by its content. What is absent or of another kind is
 * passed over; a broken one too, but if none is good the error tells of the first broken one.
 * `root` (may be NULL) stands in front of every candidate: for tests and for images.
 * −ENOENT: none there.
 */
int discovery_find(const char *root, struct kubeconfig **ret, struct error *error);
