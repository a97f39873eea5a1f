#include "ctl/bus_client.h"

#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include "basics/backoff.h"
#include "ctl/bus_json.h"
#include "ctl/verbs.h"
#include "service/bus.h"

/* For the bus; whoever asks at boot asks again. */
#define CONNECT_USEC (5 * USEC_PER_SEC)
/* A reload of a large cluster, on a slow machine. */
#define CALL_USEC    (60 * USEC_PER_SEC)

struct bus_client {
        sd_bus *bus;
};

static uint64_t monotonic_usec(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

/* sd-bus itself would wait for a minute and a half. */
static int wait_ready(sd_bus *bus)
{
        uint64_t end = monotonic_usec() + CONNECT_USEC;

        for (;;) {
                uint64_t now = monotonic_usec();
                int r = sd_bus_process(bus, NULL);

                if (r < 0)
                        return r;
                if (sd_bus_is_ready(bus) > 0)
                        return 0;
                if (now >= end)
                        return -ETIMEDOUT;
                if (r == 0)
                        r = sd_bus_wait(bus, end - now);
                if (r < 0)
                        return r;
        }
}

int bus_client_new(struct bus_client **ret, struct error *error)
{
        _cleanup_(bus_client_freep) struct bus_client *client = calloc(1, sizeof(*client));
        int r;

        if (!client)
                return error_set(error, -EIO, "out of memory");
        r = sd_bus_open_system(&client->bus);
        if (r >= 0)
                r = wait_ready(client->bus);
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(client->bus, CALL_USEC);
        if (r < 0)
                return error_set(
                        error, -ESRCH, "the system bus cannot be reached: %s", strerror(-r));
        *ret = TAKE_PTR(client);
        return 0;
}

struct bus_client *bus_client_free(struct bus_client *client)
{
        if (!client)
                return NULL;
        sd_bus_close_unref(client->bus);
        free(client);
        return NULL;
}

static int translate(const sd_bus_error *refusal, int code, struct error *error)
{
        static const struct {
                const char *name;
                int code;
                const char *text; /* instead of the bus' own */
        } known[] = {
                {SD_BUS_ERROR_SERVICE_UNKNOWN, -ESRCH, "nodecryptor is not on the system bus"},
                {SD_BUS_ERROR_NAME_HAS_NO_OWNER, -ESRCH, "nodecryptor is not on the system bus"},
                {SD_BUS_ERROR_NO_REPLY, -ESRCH, "nodecryptor does not answer on the system bus"},
                {SD_BUS_ERROR_TIMEOUT, -ESRCH, "nodecryptor does not answer on the system bus"},
                {SD_BUS_ERROR_DISCONNECTED, -ESRCH, "the system bus went away"},
                {SD_BUS_ERROR_ACCESS_DENIED, -EACCES, "only root may do that"},
                {BUS_ERROR_CONFIGURATION, -EBADMSG, NULL},
                {BUS_ERROR_NOT_IN_SYNC, -ESTALE, NULL},
        };
        const char *message = refusal->message ? refusal->message : strerror(-code);

        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
                if (sd_bus_error_has_name(refusal, known[i].name))
                        return error_set(error, known[i].code, "%s",
                                known[i].text ? known[i].text : message);
        if (code == -ETIMEDOUT || code == -ECONNRESET || code == -ENOTCONN)
                return error_set(error, -ESRCH, "nodecryptor does not answer on the system bus");
        return error_set(error, -EIO, "%s", message);
}

static int call(struct bus_client *client, const char *interface, const char *method,
        const char *argument, sd_bus_message **ret, struct error *error)
{
        sd_bus_error refusal = SD_BUS_ERROR_NULL;
        int r = sd_bus_call_method(client->bus, BUS_NAME, BUS_PATH, interface, method, &refusal,
                ret, argument ? "s" : NULL, argument);

        if (r < 0)
                r = translate(&refusal, r, error);
        sd_bus_error_free(&refusal);
        return r < 0 ? r : 0;
}

static int query(struct bus_client *client, const char *interface, const char *method,
        const char *argument, json_object **ret, struct error *error)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = call(client, interface, method, argument, &reply, error);

        if (r < 0)
                return r;
        r = bus_json(reply, ret);
        if (r < 0)
                return error_set(error, -EIO, "an answer that cannot be read: %s", strerror(-r));
        return 0;
}

int bus_client_properties(struct bus_client *client, json_object **ret, struct error *error)
{
        return query(
                client, "org.freedesktop.DBus.Properties", "GetAll", BUS_INTERFACE, ret, error);
}

int bus_client_query(
        struct bus_client *client, const char *method, json_object **ret, struct error *error)
{
        return query(client, BUS_INTERFACE, method, NULL, ret, error);
}

int bus_client_act(
        struct bus_client *client, const char *method, const char *argument, struct error *error)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

        return call(client, BUS_INTERFACE, method, argument, &reply, error);
}

int bus_exit_status(int code)
{
        switch (code) {
        case -ESRCH: return EXIT_AWAY;
        case -EBADMSG: return EXIT_USAGE;
        default: return code < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        }
}
