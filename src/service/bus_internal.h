/*
 * The bus's inside, shared by the files that make it up: bus.c (the connection), bus_properties.c
 * and bus_methods.c (the manager's interface), bus_announce.c (change signals), bus_access.c (who
 * may), log_control.c.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "basics/backoff.h"
#include "service/bus.h"

struct bus {
        sd_event *event;
        const struct status *status;
        struct bus_handlers handlers;
        sd_bus *connection; /* NULL: between two attempts */
        bool named;         /* the name is ours on this connection */
        enum bus_state told_state;
        struct error told_error;
        struct backoff backoff;
        sd_event_source *retry;
        sd_event_source *announce;
        struct status told; /* as last announced */
        char *told_findings;
        struct bus_pending *pending; /* calls that wait for their caller's user id */
        size_t n_pending;
};

extern const sd_bus_vtable bus_properties[]; /* userdata: struct status */
extern const sd_bus_vtable bus_methods[];    /* userdata: struct bus */

#define BUS_PROPERTIES_MAX 64
/* The names of the announced properties that differ between the two; how many there are. */
size_t bus_properties_differ(
        const struct status *a, const struct status *b, const char *ret[BUS_PROPERTIES_MAX]);

/* From now on what differs from the present status is announced. */
void bus_announce_begin(struct bus *bus);
/* Announces what differs; the handler of the timer that bus_changed() arms. */
int bus_on_announce(sd_event_source *source, uint64_t usec, void *userdata);

/*
 * For a method's handler: runs `act` when the bus has told that the caller is root or our own user,
 * and answers AccessDenied otherwise; `act` answers the call, or returns a negative errno with or
 * without *error, and is never run when the connection ends before. Returns what the method's
 * handler is to return.
 *
 * sd-bus' own check (methods without SD_BUS_VTABLE_UNPRIVILEGED) asks the bus synchronously, and
 * would stop the loop for as long as the bus does not answer.
 */
typedef int bus_act(struct bus *bus, sd_bus_message *call, sd_bus_error *error);
int bus_privileged(struct bus *bus, sd_bus_message *call, bus_act *act, sd_bus_error *error);
/* Forgets the calls that wait, before their connection is closed. */
void bus_privileged_forget(struct bus *bus);

/* Adds the object /org/freedesktop/LogControl1 to the connection. Negative errno. */
int log_control_add(struct bus *bus);
