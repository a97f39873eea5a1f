/*
 * The inside of a reading (carriage.h), shared by carriage.c, which collects, and carriage_judge.c,
 * which compares.
 */
#pragma once

#include "policy/carriage.h"

/* What kind of address a target is: the index of an A(R), or this. */
#define TARGET_OTHER FAMILY_MAX

struct carriage_target {
        struct address address;
        uint8_t kind;
        int16_t length; /* of the longest prefix around it; −1: none yet */
        uint32_t node;
        uint32_t peer; /* who carries that prefix */
};

struct carriage_key {
        const char *text; /* the node's */
        uint32_t node;
};

struct carriage_reading {
        struct carriage_target *targets; /* sorted by address */
        size_t n_targets;
        struct carriage_key *keys; /* sorted */
        size_t n_keys;
        uint8_t *pods_seen; /* of the peer added last: by index of its node's pod prefixes */
};

void carriage_reading_free(struct carriage *carriage);
