/*
 * What the daemon knows of one peer, for verbs that work without it as well.
 */
#pragma once

#include <json-c/json.h>

/*
 * The node's entry of ListPeers(), see org.nodecryptor1(5); or {"Name": …, "Unknown": why} when the
 * daemon cannot be asked. NULL: out of memory. The caller puts it.
 */
json_object *peer_answer_new(const char *name);
