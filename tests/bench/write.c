/*
 * Writes a policy into the network namespace it runs in:
 *
 *     write CONTENDER NODES
 *
 * and prints {"rules":N,"routes":N,"milliseconds":T}: both families', and how long the kernel took
 * to take them.
 */
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "contenders.h"
#include "course.h"
#include "floor.h"

static int write_fib(const struct fib *fib, double *ret_milliseconds, struct error *error)
{
        struct floor *floor = floor_new();
        uint64_t begin;
        int r;

        if (!floor)
                return error_set(error, -errno, "netlink: %s", strerror(errno));
        r = floor_load(floor, fib, FLOOR_WRITE);
        begin = clock_ns();
        if (r >= 0)
                r = floor_send(floor);
        *ret_milliseconds = (double)(clock_ns() - begin) / 1e6;
        floor_free(floor);
        return r < 0 ? error_set(error, r, "%s", strerror(-r)) : 0;
}

static int write_contender(enum contender contender, uint32_t nodes, struct error *error)
{
        _cleanup_(netlink_freep) struct netlink *nl = NULL;
        struct bench_cluster bench = {};
        struct fib fib = {};
        double milliseconds = 0;
        int r = netlink_new(NETLINK_ROUTE, &nl);

        if (r >= 0)
                r = bench_cluster_init(&bench, contender, nodes);
        if (r < 0)
                return error_set(error, r, "%s", strerror(-r));
        r = contender_fill(contender, &bench, nl, &fib, error);
        if (r >= 0)
                r = write_fib(&fib, &milliseconds, error);
        if (r >= 0)
                printf("{\"rules\":%zu,\"routes\":%zu,\"milliseconds\":%.3f}\n", fib.n_rules,
                        fib.n_routes, milliseconds);
        fib_deinit(&fib);
        bench_cluster_deinit(&bench);
        return r;
}

int main(int argc, char **argv)
{
        enum contender contender = argc == 3 ? contender_find(argv[1]) : CONTENDER_MAX;
        unsigned long nodes = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
        struct error error = {};

        if (contender == CONTENDER_MAX || nodes == 0 || nodes > BENCH_MAXIMUM) {
                fprintf(stderr, "write none|rule|original|nodecryptor|many NODES\n");
                return 2;
        }
        if (write_contender(contender, (uint32_t)nodes, &error) < 0) {
                fprintf(stderr, "write: %s\n", error.text);
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}
