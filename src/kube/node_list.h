/*
 * A list of CiliumNodes in a file, as `kubectl get ciliumnodes -o json` writes it (kind List) or as
 * the API server sends it (kind CiliumNodeList).
 */
#pragma once

#include "basics/error.h"
#include "model/cluster.h"

#define NODE_LIST_FILE_MAX ((size_t)256 * 1024 * 1024)

/*
 * Reads the file into a cluster. An object that cannot be used is left out and told to `bad` (may
 * be NULL; `name` is NULL when not even that can be read). Of two objects of one name the last
 * counts. −EINVAL with words: the file is no such list, or cut off. Otherwise what reading it said.
 */
int node_list_load(const char *path,
        void (*bad)(void *userdata, const char *name, const struct error *error), void *userdata,
        struct cluster **ret, struct error *error);
