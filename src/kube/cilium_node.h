/*
 * CiliumNode objects (cilium.io/v2, cluster-scoped) as nodes of the model.
 *
 * Whatever the policy depends on must be right, or the whole object is refused: names, types,
 * addresses, prefixes, their number. What it does not depend on is ignored, known or not. A
 * WireGuard key that is none counts as absent: it is shown, nothing is decided by it.
 */
#pragma once

#include "kube/json.h"
#include "model/cluster.h"
#include "model/node.h"

/* An object with more of anything is refused. ENI nodes have one pod address an entry. */
#define CILIUM_NODE_LABELS_MAX       512
#define CILIUM_NODE_ADDRESSES_MAX    256
#define CILIUM_NODE_PREFIXES_MAX     4096
/* Pod prefixes shorter than these would take whole regions of the address space. */
#define CILIUM_NODE_PREFIX_MIN_INET  8
#define CILIUM_NODE_PREFIX_MIN_INET6 16

/*
 * The object's metadata.name, borrowed; NULL when it has none that is legal. `object` may be NULL
 * or of any type.
 */
const char *cilium_node_name(struct json_object *object);
/* The object's metadata.resourceVersion, borrowed; NULL when it has none that is usable. */
const char *cilium_node_version(struct json_object *object);
/*
 * −EINVAL with words that name the object and the field; −ENOMEM. An apiVersion group or kind
 * that is another one's is refused; absent ones are not, as lists may leave them out.
 */
int cilium_node_decode(struct json_object *object, struct node **ret, struct error *error);
