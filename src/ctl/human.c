#include "ctl/human.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "basics/util.h"

#define MINUTE UINT64_C(60)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

const char *human_span(uint64_t seconds, char buffer[static HUMAN_TEXT_MAX])
{
        if (seconds < 2 * MINUTE)
                snprintf(buffer, HUMAN_TEXT_MAX, "%" PRIu64 " s", seconds);
        else if (seconds < HOUR)
                snprintf(buffer, HUMAN_TEXT_MAX, "%" PRIu64 " min", seconds / MINUTE);
        else if (seconds < DAY)
                snprintf(buffer, HUMAN_TEXT_MAX, "%" PRIu64 " h %" PRIu64 " min", seconds / HOUR,
                        seconds % HOUR / MINUTE);
        else
                snprintf(buffer, HUMAN_TEXT_MAX, "%" PRIu64 " d %" PRIu64 " h", seconds / DAY,
                        seconds % DAY / HOUR);
        return buffer;
}

const char *human_age(uint64_t at, uint64_t now, char buffer[static HUMAN_TEXT_MAX])
{
        char span[HUMAN_TEXT_MAX];

        if (at == 0)
                snprintf(buffer, HUMAN_TEXT_MAX, "never");
        else if (at >= now)
                snprintf(buffer, HUMAN_TEXT_MAX, "just now");
        else
                snprintf(buffer, HUMAN_TEXT_MAX, "%.*s ago", HUMAN_TEXT_MAX - 5,
                        human_span(now - at, span));
        return buffer;
}

const char *human_time(uint64_t at, char buffer[static HUMAN_TEXT_MAX])
{
        time_t seconds = (time_t)at;
        struct tm broken;

        if (at == 0 || !gmtime_r(&seconds, &broken) ||
                strftime(buffer, HUMAN_TEXT_MAX, "%F %T UTC", &broken) == 0)
                snprintf(buffer, HUMAN_TEXT_MAX, "never");
        return buffer;
}

const char *human_bytes(uint64_t bytes, char buffer[static HUMAN_TEXT_MAX])
{
        static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
        size_t unit = 0;
        double value = (double)bytes;

        while (value >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
                value /= 1024;
                unit++;
        }
        snprintf(buffer, HUMAN_TEXT_MAX, unit > 0 && value < 10 ? "%.1f %s" : "%.0f %s", value,
                units[unit]);
        return buffer;
}
