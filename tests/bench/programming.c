/*
 * How long it takes to bring the kernel to a policy, in the network namespace it runs in, whose
 * BENCH_DEVICE it makes:
 *
 *     programming NODES ROUNDS FOLDER [original]
 *
 * Three contenders take turns, round by round: "nodecryptor", the daemon's reconciler as it is (for
 * joins and leaves with what the daemon keeps of the nodes beside it);
 * "floor", the same objects by floor.h; with the third argument "original", the script's rules by
 * floor.h. FOLDER is for the reconciler's record. Prints one JSON object a line:
 *
 *     {"step":"first","contender":"floor","milliseconds":T,"whole":T,"messages":N}
 *
 * first    everything, into an empty kernel; to its last write, as all of these
 * restart  a fresh start over what stands, which writes nothing (nodecryptor only)
 * join     one node more; leave: one node less
 * device   the device's routes, after it was down and is up again
 *
 * `milliseconds` is until the last write, `whole` until it was also read back and compared, where
 * that is done. `messages` is what was written: netlink messages, or the reconciler's steps.
 */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "clock.h"
#include "contenders.h"
#include "course.h"
#include "daemon/reconciler.h"
#include "floor.h"

struct programming {
        struct bench_cluster bench;
        struct netlink *nl;
        struct floor *floor;
        const char *folder;
        uint32_t rounds;
        bool with_original;
        struct reconciler reconciler;
        struct claims claims;
        struct node_changes changes;
};

/* From `begin` to the last write, and until all was done; in ns. */
static void print_span(const char *step, const char *contender, uint64_t begin, uint64_t written,
        uint64_t end, size_t messages)
{
        printf("{\"step\":\"%s\",\"contender\":\"%s\",\"milliseconds\":%.4f,\"whole\":%.4f,"
               "\"messages\":%zu}\n",
                step, contender, (double)(written - begin) / 1e6, (double)(end - begin) / 1e6,
                messages);
}

static void print_step(const char *step, const char *contender, uint64_t begin, size_t messages)
{
        uint64_t end = clock_ns();

        print_span(step, contender, begin, end, end, messages);
}

/* One after the other in a round: the first finds the caches cold. */
#define CHANGES 5

/* A tun device, as wireguard-go's: it is there as long as the program runs. */
static int make_device(struct error *error)
{
        struct ifreq request = {.ifr_name = BENCH_DEVICE, .ifr_flags = IFF_TUN | IFF_NO_PI};
        int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

        if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
                return error_set(error, -errno, "tun: %s", strerror(errno));
        return 0;
}

static int set_device(bool up, struct error *error)
{
        _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct ifreq request = {.ifr_name = BENCH_DEVICE};

        if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0)
                return error_set(error, -errno, BENCH_DEVICE ": %s", strerror(errno));
        request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
        if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
                return error_set(error, -errno, BENCH_DEVICE ": %s", strerror(errno));
        return 0;
}

static struct reconcile_input input(const struct programming *p)
{
        return (struct reconcile_input){
                .settings = p->bench.settings,
                .cluster = p->bench.cluster,
                .node_name = p->bench.self,
                .endpoint = &p->bench.endpoint,
                .complete = true,
                .unchanged = p->changes.n == 0,
        };
}

/* One whole run of the reconciler; `step` NULL: not timed. Read back is after the last write. */
static int reconcile(struct programming *p, const char *step, struct error *error)
{
        const struct reconcile_input in = input(p);
        struct reconcile_result result = {};
        uint64_t begin = clock_ns();
        int r = reconciler_run(&p->reconciler, &in, &result);
        uint64_t end = clock_ns();

        if (step && r >= 0)
                print_span(step, "nodecryptor", begin,
                        result.written_at > 0 ? result.written_at * 1000 : end, end,
                        result.written);
        if (r < 0)
                *error = result.error;
        else if (!result.in_sync)
                r = error_set(error, -EIO, "not in sync");
        reconcile_result_deinit(&result);
        return r;
}

/*
 * The node comes (`after` taken) or goes, as the manager has it from the API client: into what it
 * knows, and by a partial run into the kernel.
 */
static int change(struct programming *p, const char *step, struct node *before, struct node *after,
        struct error *error)
{
        const struct reconcile_input in = input(p);
        struct reconcile_result result = {};
        uint64_t begin = clock_ns();
        bool done;

        claims_change(&p->claims, before, after);
        node_changes_add(&p->changes, before, after);
        if (after && cluster_put(p->bench.cluster, after) < 0)
                return error_set(error, -ENOMEM, "out of memory");
        if (before)
                cluster_remove(p->bench.cluster, before->name);
        done = reconciler_run_partial(&p->reconciler, &in, &p->changes, &p->claims, &result);
        print_step(step, "nodecryptor", begin, result.written);
        node_changes_clear(&p->changes);
        reconcile_result_deinit(&result);
        return done ? 0 : error_set(error, -EIO, "%s: not by a partial run", step);
}

static int begin_reconciler(struct programming *p, struct error *error)
{
        int r = reconciler_init(&p->reconciler, p->folder, error);

        return r < 0 ? r : 0;
}

static int take(struct programming *p, const struct fib *fib, enum floor_verb verb,
        const char *step, const char *contender, struct error *error)
{
        int r = floor_load(p->floor, fib, verb);
        uint64_t begin = clock_ns();

        if (r >= 0)
                r = floor_send(p->floor);
        if (r < 0)
                return error_set(
                        error, r, "%s: %s: %s", contender, step ? step : "reset", strerror(-r));
        if (step)
                print_step(step, contender, begin, floor_messages(p->floor));
        return 0;
}

static int fill(
        struct programming *p, enum contender contender, struct fib *ret, struct error *error)
{
        return contender_fill(contender, &p->bench, p->nl, ret, error);
}

/* Takes away all that `contender` has written. */
static int reset(struct programming *p, enum contender contender, struct error *error)
{
        struct fib fib = {};
        int r = fill(p, contender, &fib, error);

        if (r >= 0)
                r = take(p, &fib, FLOOR_DELETE, NULL, contender_name(contender), error);
        fib_deinit(&fib);
        return r;
}

static int bounce(struct error *error)
{
        int r = set_device(false, error);

        return r < 0 ? r : set_device(true, error);
}

static int run_changes(struct programming *p, struct error *error)
{
        struct node *node = bench_node_new(p->bench.nodes + 1);
        int r = node ? claims_count(&p->claims, p->bench.cluster) : -ENOMEM;

        if (r < 0) {
                node_free(node);
                return error_set(error, r, "%s", strerror(-r));
        }
        for (int i = 0; r >= 0 && i < CHANGES; i++) {
                r = change(p, "join", NULL, node_ref(node), error);
                if (r >= 0)
                        r = change(p, "leave", node, NULL, error);
        }
        node_free(node);
        return r;
}

static int run_ours(struct programming *p, struct error *error)
{
        int r = begin_reconciler(p, error);

        if (r >= 0)
                r = reconcile(p, "first", error);
        reconciler_deinit(&p->reconciler);
        if (r >= 0)
                r = begin_reconciler(p, error);
        if (r >= 0)
                r = reconcile(p, "restart", error);
        if (r >= 0)
                r = run_changes(p, error);
        if (r >= 0)
                r = set_device(false, error);
        if (r >= 0)
                r = reconcile(p, NULL, error);
        if (r >= 0)
                r = set_device(true, error);
        if (r >= 0)
                r = reconcile(p, "device", error);
        reconciler_deinit(&p->reconciler);
        return r < 0 ? r : reset(p, CONTENDER_OURS, error);
}

/* What `more` has and `less` has not; both sorted. */
static int subtract(const struct fib *more, const struct fib *less, struct fib *ret)
{
        size_t at = 0;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < more->n_routes; i++) {
                while (at < less->n_routes &&
                        route_compare(&less->routes[at], &more->routes[i]) < 0)
                        at++;
                if (at == less->n_routes || route_compare(&less->routes[at], &more->routes[i]) != 0)
                        r = fib_add_route(ret, &more->routes[i]);
        }
        at = 0;
        for (size_t i = 0; r >= 0 && i < more->n_rules; i++) {
                while (at < less->n_rules && rule_compare(&less->rules[at], &more->rules[i]) < 0)
                        at++;
                if (at == less->n_rules || rule_compare(&less->rules[at], &more->rules[i]) != 0)
                        r = fib_add_rule(ret, &more->rules[i]);
        }
        return r;
}

static int grow(struct programming *p, struct error *error)
{
        struct node *node = bench_node_new(p->bench.nodes + 1);
        int r = node ? cluster_put(p->bench.cluster, node) : -ENOMEM;

        return r < 0 ? error_set(error, r, "%s", strerror(-r)) : 0;
}

static void shrink(struct programming *p)
{
        char name[32];

        snprintf(name, sizeof(name), "node-%05u", p->bench.nodes + 1);
        cluster_remove(p->bench.cluster, name);
}

/* The objects of one node more. */
static int fill_joined(
        struct programming *p, enum contender contender, struct fib *ret, struct error *error)
{
        struct fib before = {}, after = {};
        int r = fill(p, contender, &before, error);

        if (r >= 0)
                r = grow(p, error);
        if (r >= 0) {
                p->bench.nodes++;
                r = fill(p, contender, &after, error);
                p->bench.nodes--;
                shrink(p);
        }
        fib_sort(&before);
        fib_sort(&after);
        if (r >= 0 && subtract(&after, &before, ret) < 0)
                r = error_set(error, -ENOMEM, "out of memory");
        fib_deinit(&before);
        fib_deinit(&after);
        return r;
}

/* The routes that go with the device. */
static int fill_device(const struct fib *fib, struct fib *ret)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < fib->n_routes; i++)
                if (fib->routes[i].oif != 0)
                        r = fib_add_route(ret, &fib->routes[i]);
        return r;
}

static int run_written(
        struct programming *p, enum contender contender, const char *name, struct error *error)
{
        struct fib fib = {}, joined = {}, device = {};
        int r = fill(p, contender, &fib, error);

        if (r >= 0)
                r = fill_joined(p, contender, &joined, error);
        if (r >= 0 && fill_device(&fib, &device) < 0)
                r = error_set(error, -ENOMEM, "out of memory");
        if (r >= 0)
                r = take(p, &fib, FLOOR_WRITE, "first", name, error);
        for (int i = 0; r >= 0 && i < CHANGES; i++) {
                r = take(p, &joined, FLOOR_WRITE, "join", name, error);
                if (r >= 0)
                        r = take(p, &joined, FLOOR_DELETE, "leave", name, error);
        }
        if (r >= 0)
                r = bounce(error);
        if (r >= 0)
                r = take(p, &device, FLOOR_WRITE, "device", name, error);
        if (r >= 0)
                r = take(p, &fib, FLOOR_DELETE, NULL, name, error);
        fib_deinit(&fib);
        fib_deinit(&joined);
        fib_deinit(&device);
        return r;
}

static int run(struct programming *p, struct error *error)
{
        int r = make_device(error);

        if (r >= 0)
                r = set_device(true, error);
        for (uint32_t i = 0; r >= 0 && i < p->rounds; i++) {
                r = run_ours(p, error);
                if (r >= 0)
                        r = run_written(p, CONTENDER_OURS, "floor", error);
                if (r >= 0 && p->with_original)
                        r = run_written(p, CONTENDER_ORIGINAL, "original", error);
        }
        return r;
}

int main(int argc, char **argv)
{
        struct programming p = {.with_original = argc == 5 && strcmp(argv[4], "original") == 0};
        unsigned long nodes = argc >= 4 ? strtoul(argv[1], NULL, 10) : 0;
        struct error error = {};
        int r;

        if (nodes == 0 || nodes >= BENCH_MAXIMUM || argc > 5) {
                fprintf(stderr, "programming NODES ROUNDS FOLDER [original]\n");
                return 2;
        }
        p.rounds = (uint32_t)strtoul(argv[2], NULL, 10);
        p.folder = argv[3];
        claims_init(&p.claims, 1);
        r = netlink_new(NETLINK_ROUTE, &p.nl);
        p.floor = floor_new();
        if (r >= 0)
                r = p.floor ? bench_cluster_init(&p.bench, CONTENDER_OURS, (uint32_t)nodes)
                            : -errno;
        if (r >= 0)
                r = run(&p, &error);
        claims_deinit(&p.claims);
        bench_cluster_deinit(&p.bench);
        if (p.floor)
                floor_free(p.floor);
        netlink_free(p.nl);
        if (r < 0)
                fprintf(stderr, "programming: %s\n", error.code ? error.text : strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
