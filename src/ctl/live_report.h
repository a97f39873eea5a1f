/*
 * What was seen on the wire, printed.
 */
#pragma once

#include "ctl/live_count.h"

struct live_report {
        struct live_counts counts;
        char *links; /* names, with blanks between */
        uint64_t seconds;
        uint64_t lost_wireguard; /* packets that were not looked at */
        uint64_t lost_other;
};

/* "plain", "unknown" (packets were lost that could have been plain) or "clean". */
const char *live_report_result(const struct live_report *report);
/* −ENOMEM, −EIO. */
int live_report_print(struct live_report *report);
int live_report_print_json(struct live_report *report);
