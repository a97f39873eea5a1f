#include "service/status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *state_name(enum state state)
{
        static const char *const names[STATE_MAX] = {
                [STATE_STARTING] = "starting",
                [STATE_OBSERVING] = "observing",
                [STATE_ENFORCING] = "enforcing",
                [STATE_DEGRADED] = "degraded",
        };

        return (unsigned)state < STATE_MAX ? names[state] : "unknown";
}

const char *knowledge_name(enum knowledge_source knowledge)
{
        static const char *const names[KNOWLEDGE_MAX] = {
                [KNOWLEDGE_NONE] = "none",
                [KNOWLEDGE_SNAPSHOT] = "snapshot",
                [KNOWLEDGE_API] = "api",
        };

        return (unsigned)knowledge < KNOWLEDGE_MAX ? names[knowledge] : "unknown";
}

const char *repair_name(enum repair_cause cause)
{
        static const char *const names[REPAIR_MAX] = {
                [REPAIR_FOREIGN] = "foreign_change",
                [REPAIR_DEVICE] = "device",
                [REPAIR_HOST] = "host",
                [REPAIR_LOST] = "lost_events",
                [REPAIR_RETRY] = "retry",
                [REPAIR_RESCAN] = "rescan",
        };

        return (unsigned)cause < REPAIR_MAX ? names[cause] : "unknown";
}

const uint64_t status_durations[STATUS_DURATIONS] = {
        1000, 2500, 10000, 25000, 100000, 250000, 1000000, 2500000, 10000000};

void status_count_duration(struct status_histogram *histogram, uint64_t usec)
{
        size_t class = 0;

        while (class < STATUS_DURATIONS && usec > status_durations[class])
                class ++;
        histogram->classes[class]++;
        histogram->sum_usec += usec;
}

bool status_set_state(
        struct status *status, enum state state, uint64_t now, const char *format, ...)
{
        char reason[sizeof(status->reason)];
        va_list arguments;
        bool changed;

        va_start(arguments, format);
        vsnprintf(reason, sizeof(reason), format, arguments);
        va_end(arguments);
        changed = status->state != state || strcmp(status->reason, reason) != 0;
        if (status->state != state || status->since == 0)
                status->since = now;
        status->state = state;
        memcpy(status->reason, reason, sizeof(reason));
        return changed;
}

void status_print(char *text, size_t size, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(text, size, format, arguments);
        va_end(arguments);
}

uint64_t status_knowledge_age(const struct status *status, uint64_t now)
{
        if (status->knowledge == KNOWLEDGE_NONE || status->knowledge_at == 0)
                return UINT64_MAX;
        return now > status->knowledge_at ? now - status->knowledge_at : 0;
}

static void append_knowledge(
        const struct status *status, uint64_t now, struct text_builder *builder)
{
        if (status_knowledge_age(status, now) == UINT64_MAX) {
                text_append(builder, ", no nodes known yet");
                return;
        }
        text_append(builder, " %" PRIu64 " node%s (%" PRIu64 " control plane%s)",
                status->counts.nodes, status->counts.nodes == 1 ? "" : "s",
                status->counts.control_planes, status->counts.control_planes == 1 ? "" : "s");
        text_append(builder, " as of %" PRIu64 " s ago%s", status_knowledge_age(status, now),
                status->knowledge == KNOWLEDGE_SNAPSHOT ? " (snapshot)" : "");
}

static void append_device(const struct status_device *device, struct text_builder *builder)
{
        text_append(builder, ", device %s %s", device->name,
                !device->present ? "absent"
                : device->up     ? "up"
                                 : "down");
}

void status_line(const struct status *status, uint64_t now, struct text_builder *builder)
{
        static const char *const words[STATE_MAX] = {
                [STATE_STARTING] = "Starting",
                [STATE_OBSERVING] = "Observing",
                [STATE_ENFORCING] = "Enforcing",
                [STATE_DEGRADED] = "Degraded",
        };

        text_append(builder, "%s",
                (unsigned)status->state < STATE_MAX ? words[status->state] : "Unknown");
        if (status->reason[0])
                text_append(builder, " (%s):", status->reason);
        append_knowledge(status, now, builder);
        if (status->preview.text[0])
                text_append(builder, ", would be: %s", status->preview.text);
        if (status->fight[0])
                text_append(builder, ", in a fight with %s over what is ours", status->fight);
        if (status->device.name[0])
                append_device(&status->device, builder);
        if (status->peers.problems[0])
                text_append(builder, ", WireGuard peers: %s", status->peers.problems);
        if (status->api[0])
                text_append(builder, ", API %s", status->api);
        if (status->snapshot_error[0])
                text_append(builder, ", snapshot not written: %s", status->snapshot_error);
        text_append(builder, ", generation %" PRIu64, status->generation);
        if (status->counts.findings > 0)
                text_append(builder, ", %" PRIu64 " findings", status->counts.findings);
}
