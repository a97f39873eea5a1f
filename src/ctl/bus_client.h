/*
 * The daemon over D-Bus, as org.nodecryptor1(5) documents it, for verbs that ask it something. What
 * it answers comes as JSON: strings, numbers, booleans, arrays, and dictionaries as objects.
 */
#pragma once

#include <json-c/json.h>

#include "basics/error.h"

struct bus_client;

/*
 * Connects to the system bus, and waits some seconds for it at most. −ESRCH with words: there is
 * none, or it does not answer.
 */
int bus_client_new(struct bus_client **ret, struct error *error);
struct bus_client *bus_client_free(struct bus_client *client);
DEFINE_CLEANUP(struct bus_client *, bus_client_free)

/*
 * Each returns 0 or, with words: −ESRCH: no daemon on the bus, or it does not answer. −EACCES: not
 * for this user. −EBADMSG: the configuration was refused. −ESTALE: done, but the kernel is not as
 * it should be. −EIO: anything else. The caller puts *ret.
 */

/* Every property of the manager, in one object. */
int bus_client_properties(struct bus_client *client, json_object **ret, struct error *error);
/* What a method without arguments returns. */
int bus_client_query(
        struct bus_client *client, const char *method, json_object **ret, struct error *error);
/* A method that returns nothing; `argument` NULL: it takes none. */
int bus_client_act(
        struct bus_client *client, const char *method, const char *argument, struct error *error);

/* What the program is to return after such an error. */
int bus_exit_status(int code);
