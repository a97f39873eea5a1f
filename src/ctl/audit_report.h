/*
 * What an audit found: for each place that flows are wrong at, how many, and one of them.
 */
#pragma once

#include <json-c/json.h>

#include "ctl/rule_walk.h"
#include "ctl/survey.h"

/* More are counted, and not kept. */
#define AUDIT_OFFENDERS_MAX 1000

enum audit_fault {
        AUDIT_LEAK,    /* leaves in clear, and must not */
        AUDIT_SHUT,    /* should leave in clear, and goes into the device */
        AUDIT_REFUSED, /* should go into the device, and is refused; or the other way round */
        AUDIT_FAULT_MAX,
};

/* Flows of one kind to one destination that go wrong in the same way. */
struct audit_offender {
        enum audit_fault fault;
        const char *kind;
        const struct node *peer; /* borrowed */
        struct flow flow;        /* the first of them */
        struct verdict verdict;
        struct route_answer answer;
        uint64_t flows;
        char *rule; /* which gave the answer; NULL: not found */
};

struct audit_report {
        uint64_t flows;         /* asked about */
        uint64_t unasked;       /* the kernel did not take the question */
        char unasked_text[512]; /* why, of the first */
        uint64_t bypassed; /* in clear because the device is away and the operator wants that */
        uint64_t not_ours; /* left to the host's routing: `exclude`, for one */
        uint64_t faults[AUDIT_FAULT_MAX];
        struct audit_offender *offenders;
        size_t n_offenders;
        size_t allocated;
        uint64_t left_out;           /* flows, for want of room */
        struct text_builder missing; /* rules of ours that are not there, a line each */
        size_t n_missing;
};

/* Adds a flow that goes wrong; `rule` is copied. −ENOMEM. */
int audit_report_add(struct audit_report *report, const struct audit_offender *offender);
void audit_report_deinit(struct audit_report *report);

/* Whether flows go where they should; false: *ret says how not. */
bool audit_is_good(const struct survey *survey, const struct verdict *verdict,
        const struct route_answer *answer, enum audit_fault *ret);

/* Each prints the whole: for people, for programs. −ENOMEM, −EIO. */
int audit_report_print(const struct audit_report *report, const struct survey *survey);
int audit_report_print_json(const struct audit_report *report, const struct survey *survey);
