/*
 * What the policy is computed from, and what every part of it asks of that first: who we are, and
 * whether the device can be used.
 */
#pragma once

#include "model/cluster.h"
#include "model/endpoint.h"
#include "model/settings.h"
#include "policy/device.h"
#include "policy/fib.h"
#include "policy/layout.h"

/* Everything borrowed. */
struct policy_input {
        const struct settings *settings;
        const struct cluster *cluster;
        const char *node_name; /* ours; NULL: not known yet */
        const struct device *device;
        const struct endpoint *endpoint;
        /*
         * What the kernel holds, of every layout of ours; NULL: nothing is known of it. It decides
         * nothing but which table a complement (complement.h) lies in.
         */
        const struct fib *actual;
        size_t threshold; /* 0: COMPLEMENT_THRESHOLD */
};

struct layout policy_layout(const struct settings *settings);

/*
 * Our own node: the one with our name; where there is none of that name (or none is known), the
 * one whose address this host holds. NULL: not in the cluster.
 */
const struct node *policy_self(const struct policy_input *input);

/*
 * The address that steered flows of that family leave from: A(L), or the kernel's choice (family 0)
 * where our node is unknown or has no address of that family. False: A(L) is not an address of this
 * host. *ret is written on true.
 */
bool policy_source(const struct policy_input *input, int family, struct address *ret);

/*
 * Whether steered flows of that family go out of the device now, and from which address
 * (policy_source()). False: the device is not usable, or A(L) is not an address of this host.
 * *ret_source is written on true.
 */
bool policy_device_usable(const struct policy_input *input, int family, struct address *ret_source);
