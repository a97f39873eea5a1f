/*
 * A D-Bus message's value as JSON.
 */
#pragma once

#include <json-c/json.h>
#include <systemd/sd-bus.h>

/*
 * The next complete value of the message: numbers and booleans as such, strings, paths and
 * signatures as strings, arrays and structures as arrays, dictionaries with string keys as objects,
 * variants as what they hold. The caller puts *ret. −EBADMSG: another type, or nested too deeply.
 * −ENOMEM.
 */
int bus_json(sd_bus_message *message, json_object **ret);
