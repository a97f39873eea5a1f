/*
 * PropertiesChanged: what differs from what was announced last, many changes in one signal.
 */
#include <string.h>

#include "service/bus_internal.h"

/* A bus that does not read: signals would pile up here. It is tried again after so long. */
#define QUEUE_MAX  16
#define RETRY_USEC (1 * USEC_PER_SEC)

static const char *findings_now(const struct bus *bus)
{
        const char *findings = bus->handlers.findings(bus->handlers.userdata);

        return findings ? findings : "";
}

/* Out of memory: it is announced once too often, or too seldom; the property itself is right. */
static void remember(struct bus *bus)
{
        bus->told = *bus->status;
        (void)text_replace(&bus->told_findings, findings_now(bus));
}

void bus_announce_begin(struct bus *bus)
{
        remember(bus);
}

int bus_on_announce(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct bus *bus = userdata;
        const char *names[BUS_PROPERTIES_MAX + 2] = {};
        uint64_t queued = 0;
        size_t n;

        sd_bus_get_n_queued_write(bus->connection, &queued);
        if (queued > QUEUE_MAX) {
                sd_event_source_set_time_relative(source, RETRY_USEC);
                sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
                return 0;
        }
        n = bus_properties_differ(&bus->told, bus->status, names);
        if (!text_equal(bus->told_findings, findings_now(bus)))
                names[n++] = "Findings";
        if (n > 0)
                (void)sd_bus_emit_properties_changed_strv(
                        bus->connection, BUS_PATH, BUS_INTERFACE, (char **)names);
        remember(bus);
        return 0;
}
