/* Clocks, in ns. */
#pragma once

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_read(clockid_t clock)
{
        struct timespec now;

        clock_gettime(clock, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Time that passes. */
static inline uint64_t clock_ns(void)
{
        return clock_read(CLOCK_MONOTONIC);
}

/* Time that this thread spends on a processor, in the kernel too. */
static inline uint64_t clock_cpu_ns(void)
{
        return clock_read(CLOCK_THREAD_CPUTIME_ID);
}
