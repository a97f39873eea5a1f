/*
 * What an operator should know and do, found in the daemon's status.
 */
#pragma once

#include <json-c/json.h>
#include <stdint.h>

/*
 * `status` is what bus_client_properties() gives, `now` unix time in s. *ret is an array of
 * {"Text": what is so, "Remedy": what to do, or ""}, worst first; the caller puts it. −ENOMEM.
 */
int warnings_find(json_object *status, uint64_t now, json_object **ret);
