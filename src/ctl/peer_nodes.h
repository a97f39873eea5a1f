/*
 * The daemon's peers (ListPeers of org.nodecryptor1(5)) as the nodes that the policy is computed
 * from, for verbs that judge by the policy what the daemon knows at this moment.
 */
#pragma once

#include <json-c/json.h>

#include "basics/error.h"
#include "model/cluster.h"
#include "model/settings.h"

/*
 * Puts each peer into the cluster. D-Bus tells no labels, but the names of the exemptions that
 * select the peer: it is given labels by which they do. −EBADMSG with words: a peer that is not
 * what the manual says; −ENOMEM.
 */
int peer_nodes_add(json_object *peers, const struct settings *settings, struct cluster *cluster,
        struct error *error);
