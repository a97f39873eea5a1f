/*
 * The answer to `nodecryptorctl explain`, as the JSON that nodecryptorctl(1) documents, and as text
 * for people.
 */
#pragma once

#include <json-c/json.h>

#include "ctl/question.h"

/*
 * Asks the kernel, the policy and (for the peer, if it can be reached) the daemon. The caller puts
 * *ret. −ENOMEM, or what the kernel said to the question; it is logged.
 */
int explanation_new(struct question *q, json_object **ret);
/* Kernel and policy agree. */
bool explanation_agrees(json_object *explanation);
/* Prints it. −ENOMEM, −EIO. */
int explanation_print(json_object *explanation, bool observing);
