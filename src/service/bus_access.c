/*
 * Who may call what acts: root and our own user, by what the bus says of the caller's unique name,
 * which is never given to another one.
 */
#include "service/bus_internal.h"

/* So many callers at a time may make us ask the bus. */
#define PENDING_MAX 32

struct bus_pending {
        struct bus *bus;
        sd_bus_message *call;
        bus_act *act;
        sd_bus_slot *slot;
        struct bus_pending *next;
};

/*
 * Not left to a floating slot: that lives as long as the connection, which lives as long as the
 * call, which would live as long as the slot.
 */
static void pending_free(struct bus_pending *pending)
{
        struct bus_pending **link = &pending->bus->pending;

        while (*link != pending)
                link = &(*link)->next;
        *link = pending->next;
        pending->bus->n_pending--;
        sd_bus_slot_unref(pending->slot);
        sd_bus_message_unref(pending->call);
        free(pending);
}

void bus_privileged_forget(struct bus *bus)
{
        while (bus->pending)
                pending_free(bus->pending);
}

static int run(struct bus_pending *pending, sd_bus_message *reply, sd_bus_error *error)
{
        uint32_t user = UINT32_MAX;

        if (sd_bus_message_is_method_error(reply, NULL))
                return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED,
                        "The bus does not say which user calls.");
        if (sd_bus_message_read(reply, "u", &user) < 0 || (user != 0 && user != getuid()))
                return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED, "%s is for root only.",
                        sd_bus_message_get_member(pending->call));
        return pending->act(pending->bus, pending->call, error);
}

static int on_user(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        struct bus_pending *pending = userdata;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = run(pending, reply, &error);

        /* A caller that has gone, or a connection that ends, has no use for the answer. */
        if (r < 0)
                (void)sd_bus_reply_method_errno(pending->call, r, &error);
        sd_bus_error_free(&error);
        pending_free(pending);
        return 1;
}

int bus_privileged(struct bus *bus, sd_bus_message *call, bus_act *act, sd_bus_error *error)
{
        struct bus_pending *pending;
        int r;

        if (bus->n_pending >= PENDING_MAX)
                return sd_bus_error_set(
                        error, SD_BUS_ERROR_LIMITS_EXCEEDED, "Too many calls at a time.");
        pending = calloc(1, sizeof(*pending));
        if (!pending)
                return -ENOMEM;
        *pending = (struct bus_pending){
                .bus = bus, .call = sd_bus_message_ref(call), .act = act, .next = bus->pending};
        bus->pending = pending;
        bus->n_pending++;
        r = sd_bus_call_method_async(bus->connection, &pending->slot, "org.freedesktop.DBus",
                "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixUser", on_user,
                pending, "s", sd_bus_message_get_sender(call));
        if (r < 0) {
                pending_free(pending);
                return r;
        }
        return 1;
}
