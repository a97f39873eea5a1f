/*
 * What takes the same way through the kernel many times over, so that it can be timed.
 */
#pragma once

#include <stdint.h>

#include "basics/error.h"
#include "course.h"

/* The numbers of the links in a contender's namespace, and who we are there. */
struct place {
        uint32_t device;
        uint32_t uplink;
        uint32_t pods;
        uint32_t self; /* our number among the nodes */
};

struct lap {
        uint64_t ns;      /* how long they took, all together */
        uint32_t ifindex; /* the link that the last one goes out of; 0: the meter does not know */
};

struct meter {
        const char *name;
        /* All in the contender's namespace. *ret is freed by close(). Negative errno. */
        int (*open)(const struct course *course, const struct place *place, void **ret,
                struct error *error);
        /* So many times. Negative errno. */
        int (*run)(void *meter, uint32_t times, struct lap *ret);
        void (*close)(void *meter);
};

/* The kernel's lookup for a forwarded packet and nothing else, by bpf_fib_lookup(). */
extern const struct meter meter_lookup;
/* UDP datagrams from one socket, unconnected: one lookup each; sendmmsg(2). */
extern const struct meter meter_sent;
/* UDP packets that come in by BENCH_PODS, from XDP's live frames. */
extern const struct meter meter_forwarded;
