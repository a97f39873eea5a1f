#include <string.h>

#include "service/bus_internal.h"

#define SYSTEM_BUS           "unix:path=/run/dbus/system_bus_socket"
/* The kernel's announcements and reconciles come first, requests over HTTP later. */
#define PRIORITY_BUS         10
#define ANNOUNCE_USEC        (100 * USEC_PER_MSEC)
#define RECONNECT_FIRST_USEC (1 * USEC_PER_SEC)
#define RECONNECT_LAST_USEC  (60 * USEC_PER_SEC)
/*
 * A connection that has not got the name for so long is given up and begun anew: whatever it waits
 * for (a socket that is bound and not listened at yet, a policy that is being installed) may have
 * come without a sign.
 */
#define UNNAMED_USEC         (60 * USEC_PER_SEC)
#define DBUS                 "org.freedesktop.DBus"
#define DBUS_LOCAL           "org.freedesktop.DBus.Local"

static void tell(struct bus *bus, enum bus_state state, const struct error *error)
{
        struct error now = error ? *error : (struct error){};

        if (state == bus->told_state && strcmp(now.text, bus->told_error.text) == 0)
                return;
        bus->told_state = state;
        bus->told_error = now;
        bus->handlers.state(bus->handlers.userdata, state, error);
}

static void arm(sd_event_source *timer, uint64_t delay)
{
        sd_event_source_set_time_relative(timer, delay);
        sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

static void lose_name(struct bus *bus)
{
        bus->named = false;
        sd_event_source_set_enabled(bus->announce, SD_EVENT_OFF);
}

static void on_connected(struct bus *bus);

/* Without a match rule: what concerns this connection itself is sent to it alone. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
        struct bus *bus = userdata;
        const char *sender = sd_bus_message_get_sender(message), *name;

        if (sd_bus_message_is_signal(message, DBUS_LOCAL, "Connected")) {
                on_connected(bus);
        } else if (sd_bus_message_is_signal(message, DBUS_LOCAL, "Disconnected")) {
                lose_name(bus);
                tell(bus, BUS_AWAY, NULL);
                /* Not right here: the connection is being worked on. */
                arm(bus->retry, backoff_next(&bus->backoff));
        } else if (text_equal(sender, DBUS) &&
                   sd_bus_message_is_signal(message, DBUS, "NameAcquired") &&
                   sd_bus_message_read(message, "s", &name) >= 0 && strcmp(name, BUS_NAME) == 0) {
                bus->named = true;
                backoff_reset(&bus->backoff);
                sd_event_source_set_enabled(bus->retry, SD_EVENT_OFF);
                bus_announce_begin(bus);
                tell(bus, BUS_NAMED, NULL);
        }
        return 0;
}

/* What it says when it was granted, NameAcquired says as well, and also when it is granted later.
 */
static int on_name(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        struct bus *bus = userdata;
        const sd_bus_error *refusal = sd_bus_message_get_error(reply);
        struct error error = {};
        uint32_t answer = 0;

        if (refusal && !sd_bus_error_has_name(refusal, SD_BUS_ERROR_NO_REPLY)) {
                error_set(&error, -EACCES, "the system bus refuses the name %s: %s", BUS_NAME,
                        refusal->message ? refusal->message : refusal->name);
                tell(bus, BUS_DENIED, &error);
                arm(bus->retry, backoff_next(&bus->backoff));
        } else if (!refusal && sd_bus_message_read(reply, "u", &answer) >= 0 && answer == 2) {
                /* DBUS_REQUEST_NAME_REPLY_IN_QUEUE: ours when the other process ends. */
                error_set(&error, -EEXIST, "another process has the name %s on the system bus",
                        BUS_NAME);
                tell(bus, BUS_DENIED, &error);
                sd_event_source_set_enabled(bus->retry, SD_EVENT_OFF);
        }
        return 1;
}

static void on_connected(struct bus *bus)
{
        /* With a handler of our own: sd-bus' own one closes the connection when it is refused. */
        if (sd_bus_request_name_async(
                    bus->connection, NULL, BUS_NAME, SD_BUS_NAME_QUEUE, on_name, bus) < 0)
                arm(bus->retry, backoff_next(&bus->backoff));
}

static int prepare(struct bus *bus, sd_bus *connection)
{
        const char *address = secure_getenv("DBUS_SYSTEM_BUS_ADDRESS");
        int r = sd_bus_set_address(connection, address ? address : SYSTEM_BUS);

        if (r >= 0)
                r = sd_bus_set_bus_client(connection, true);
        if (r >= 0)
                r = sd_bus_set_description(connection, "nodecryptor");
        if (r >= 0)
                r = sd_bus_set_watch_bind(connection, true);
        if (r >= 0)
                r = sd_bus_set_connected_signal(connection, true);
        /* The event loop's end would wait for a bus that does not read. */
        if (r >= 0)
                r = sd_bus_set_close_on_exit(connection, false);
        if (r >= 0)
                r = sd_bus_add_filter(connection, NULL, on_message, bus);
        if (r >= 0)
                r = sd_bus_add_object_vtable(connection, NULL, BUS_PATH, BUS_INTERFACE,
                        bus_properties, (void *)bus->status);
        if (r >= 0)
                r = sd_bus_add_object_vtable(
                        connection, NULL, BUS_PATH, BUS_INTERFACE, bus_methods, bus);
        return r;
}

static void disconnect(struct bus *bus)
{
        lose_name(bus);
        bus_privileged_forget(bus);
        bus->connection = sd_bus_close_unref(bus->connection);
}

static void reconnect(struct bus *bus)
{
        int r;

        disconnect(bus);
        arm(bus->retry, UNNAMED_USEC);
        r = sd_bus_new(&bus->connection);
        if (r >= 0)
                r = prepare(bus, bus->connection);
        if (r >= 0)
                r = log_control_add(bus);
        if (r >= 0)
                r = sd_bus_start(bus->connection);
        if (r >= 0)
                r = sd_bus_attach_event(bus->connection, bus->event, PRIORITY_BUS);
        if (r < 0) {
                disconnect(bus);
                arm(bus->retry, backoff_next(&bus->backoff));
        }
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
        reconnect(userdata);
        return 0;
}

static int add_timer(
        struct bus *bus, sd_event_time_handler_t handler, uint64_t accuracy, sd_event_source **ret)
{
        int r = sd_event_add_time_relative(
                bus->event, ret, CLOCK_MONOTONIC, UINT64_MAX / 2, accuracy, handler, bus);

        if (r >= 0)
                r = sd_event_source_set_priority(*ret, PRIORITY_BUS);
        if (r >= 0)
                r = sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
        return r;
}

int bus_new(sd_event *event, const struct status *status, const struct bus_handlers *handlers,
        struct bus **ret)
{
        _cleanup_(bus_freep) struct bus *bus = calloc(1, sizeof(*bus));
        int r;

        if (!bus)
                return -ENOMEM;
        bus->event = sd_event_ref(event);
        bus->status = status;
        bus->handlers = *handlers;
        bus->backoff = BACKOFF_INIT(RECONNECT_FIRST_USEC, RECONNECT_LAST_USEC);
        r = add_timer(bus, on_retry, USEC_PER_SEC, &bus->retry);
        if (r >= 0)
                r = add_timer(bus, bus_on_announce, 10 * USEC_PER_MSEC, &bus->announce);
        if (r < 0)
                return r;
        reconnect(bus);
        *ret = TAKE_PTR(bus);
        return 0;
}

struct bus *bus_free(struct bus *bus)
{
        if (!bus)
                return NULL;
        bus_privileged_forget(bus);
        sd_bus_close_unref(bus->connection);
        sd_event_source_disable_unref(bus->retry);
        sd_event_source_disable_unref(bus->announce);
        sd_event_unref(bus->event);
        free(bus->told_findings);
        free(bus);
        return NULL;
}

void bus_changed(struct bus *bus)
{
        int enabled = SD_EVENT_ONESHOT;

        if (!bus || !bus->named)
                return;
        sd_event_source_get_enabled(bus->announce, &enabled);
        if (enabled == SD_EVENT_OFF)
                arm(bus->announce, ANNOUNCE_USEC);
}
