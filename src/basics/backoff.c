#include "basics/backoff.h"

#include <sys/random.h>
#include <time.h>

static uint64_t random_u64(void)
{
        uint64_t value;
        struct timespec now;

        /* GRND_NONBLOCK: in early boot the pool may not be ready, and jitter need not be secret. */
        if (getrandom(&value, sizeof(value), GRND_NONBLOCK) == (ssize_t)sizeof(value))
                return value;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_nsec * UINT64_C(0x9e3779b97f4a7c15);
}

uint64_t random_between(uint64_t low, uint64_t high)
{
        if (high <= low)
                return low;
        if (high - low == UINT64_MAX)
                return random_u64();
        return low + random_u64() % (high - low + 1);
}

uint64_t backoff_next(struct backoff *backoff)
{
        if (backoff->ceiling == 0)
                backoff->ceiling = backoff->initial;
        else if (backoff->ceiling > backoff->maximum / 2)
                backoff->ceiling = backoff->maximum;
        else
                backoff->ceiling *= 2;
        return random_between(1, backoff->ceiling);
}

void backoff_reset(struct backoff *backoff)
{
        backoff->ceiling = 0;
}
