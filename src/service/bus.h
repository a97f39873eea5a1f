/*
 * The D-Bus service org.nodecryptor1 on the system bus, as org.nodecryptor1(5) documents it: the
 * status as properties with change signals, methods to look and to act, and
 * org.freedesktop.LogControl1(5).
 *
 * The bus is never needed and never waited for. It may come up after us, be restarted, hang or be
 * absent for ever: the daemon works all the same, and the name is taken as soon as it can be. Every
 * call that sd-bus would make us wait for (taking the name, asking for a caller's user) is made
 * asynchronously here.
 */
#pragma once

#include <systemd/sd-event.h>

#include "basics/error.h"
#include "service/peer_view.h"
#include "service/status.h"

#define BUS_NAME      "org.nodecryptor1"
#define BUS_PATH      "/org/nodecryptor1"
#define BUS_INTERFACE "org.nodecryptor1.Manager"

/* Names of errors, besides those of D-Bus itself. */
#define BUS_ERROR_CONFIGURATION "org.nodecryptor1.Error.ConfigurationRefused"
#define BUS_ERROR_NOT_IN_SYNC   "org.nodecryptor1.Error.NotInSync"
#define BUS_ERROR_FAILED        "org.nodecryptor1.Error.Failed"

/* How an action ended. */
enum bus_outcome {
        BUS_DONE,
        BUS_REFUSED,     /* the configuration cannot be used: nothing changed; with words */
        BUS_NOT_IN_SYNC, /* it was done, but the kernel does not hold the policy; with words */
};

enum bus_state {
        BUS_AWAY,   /* not connected, which is normal early at boot */
        BUS_NAMED,  /* we can be called */
        BUS_DENIED, /* the bus refused us our name, with words; tried again later */
};

/*
 * What the rest of the daemon does for the bus. Called from the event loop; none may free the bus.
 * Only reload, resync, set_mode, policy and peers are for root (or our own user) alone.
 */
struct bus_handlers {
        void *userdata;
        /* What is found wrong, one a line, borrowed until the loop's next turn; NULL: nothing. */
        const char *(*findings)(void *userdata);
        /* Reads the configuration again; back when it is in force. */
        enum bus_outcome (*reload)(void *userdata, struct error *error);
        /* Reads the kernel and the API again; back when the kernel is as it should be. */
        enum bus_outcome (*resync)(void *userdata, struct error *error);
        /* Observes only, or enforces, until the daemon ends. */
        enum bus_outcome (*set_mode)(void *userdata, bool observe, struct error *error);
        /* Appends the wanted policy as ip(8) commands, one a line. Negative errno. */
        int (*policy)(void *userdata, struct text_builder *builder);
        /* Calls `take` for each other node, until it returns a negative errno, which is returned.
         */
        int (*peers)(void *userdata, int (*take)(void *context, const struct peer_view *peer),
                void *context);
        /* On each change; `error` (NULL: none) says why. */
        void (*state)(void *userdata, enum bus_state state, const struct error *error);
};

struct bus;

/*
 * Connects as soon as there is a bus to connect to: $DBUS_SYSTEM_BUS_ADDRESS, or
 * /run/dbus/system_bus_socket. *status is read at each request, and must outlive the bus;
 * `handlers` is copied, the loop referenced. −ENOMEM, or what sd_event_add_time(3) returns: that
 * there is no bus is no error.
 */
int bus_new(sd_event *event, const struct status *status, const struct bus_handlers *handlers,
        struct bus **ret);
/* Closes the connection without waiting for what is not sent yet; returns NULL. */
struct bus *bus_free(struct bus *bus);
DEFINE_CLEANUP(struct bus *, bus_free)

/*
 * The status may have changed: what differs from what was last announced is announced a little
 * later, together with what else changes until then.
 */
void bus_changed(struct bus *bus);
