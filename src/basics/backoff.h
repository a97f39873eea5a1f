/*
 * Exponential back-off with full jitter: each delay is drawn evenly from (0, ceiling], and the
 * ceiling doubles from `initial` to `maximum`. Times are in microseconds. The same scheme as
 * client-go's wait.Backoff with jitter: many clients that fail together do not come back together.
 */
#pragma once

#include <stdint.h>

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC  UINT64_C(1000000)

struct backoff {
        uint64_t initial; /* µs */
        uint64_t maximum; /* µs */
        uint64_t ceiling; /* µs; 0: no failure yet */
};

#define BACKOFF_INIT(initial_usec, maximum_usec) \
        ((struct backoff){.initial = (initial_usec), .maximum = (maximum_usec)})

/* The next delay in µs, and a higher ceiling for the one after it. */
uint64_t backoff_next(struct backoff *backoff);
/* After a success. */
void backoff_reset(struct backoff *backoff);
/* A number drawn evenly from [low, high], from the kernel's generator. */
uint64_t random_between(uint64_t low, uint64_t high);
