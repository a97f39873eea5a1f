/*
 * Tells a fight from an accident: the same object of ours is taken away again and again, faster
 * than any repair is worth. Only counts; the times are the caller's (µs of a clock that does not
 * jump).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/monitor.h"

/* So many times in so long, the same object. */
#define FIGHT_TIMES       5u
#define FIGHT_WINDOW_USEC (60 * UINT64_C(1000000))
/* Nobody has touched what is fought over for so long: over. */
#define FIGHT_OVER_USEC   (60 * UINT64_C(1000000))
/* Objects that are counted at a time; of more, these stand for the rest. */
#define FIGHT_OBJECTS     256u

struct fight_object {
        uint64_t identity;
        uint64_t since; /* of the first time in this window */
        unsigned times;
};

/* Zero it to begin. */
struct fight {
        struct fight_object objects[FIGHT_OBJECTS];
        bool going_on;
        uint64_t since;   /* since when it goes on */
        uint64_t last;    /* the last change of an object that is fought over */
        uint64_t changes; /* of those, since it goes on */
};

enum fight_news {
        FIGHT_NONE,   /* an accident, as far as can be told */
        FIGHT_BEGINS, /* this is the change that makes it one */
        FIGHT_GOES_ON,
};

/* A rule of ours deleted, or a route in our tables deleted, replaced or put beside ours. */
enum fight_news fight_note(
        struct fight *fight, const struct foreign_change *change, uint64_t now_usec);
/* True, once, when it has ended. */
bool fight_has_ended(struct fight *fight, uint64_t now_usec);
