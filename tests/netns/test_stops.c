/*
 * A convergence that ends between any two of its messages, systematically: a reconcile is stopped
 * before its first message that writes, before its second, and so on; what it left in the kernel is
 * asked for every flow, and so is every moment of the next start, which must converge.
 *
 * This program's sendto(2) stands before libc's: it hands the messages of a batch to the kernel one
 * by one. A process cannot be killed between two messages of one send(2), as the kernel works the
 * whole of it off inside the call; but packets are routed on other processors meanwhile, and a send
 * may be cut by an error, so these moments count as well.
 *
 *   test_stops [PART OF A SCENARIO'S NAME]
 */
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "changes.h"
#include "convergence.h"
#include "test.h"

#define MESSAGES_MAX 100000u

static struct {
        unsigned written; /* messages so far */
        unsigned end_at;  /* the process ends before this one; 0: never */
        unsigned every;   /* ask before each so manieth message; 0: never */
        const struct probes *probes;
        const char *what;
        size_t wrong;
        unsigned long asked;
} watch;

static bool writes(uint16_t type)
{
        return type == RTM_NEWRULE || type == RTM_DELRULE || type == RTM_NEWROUTE ||
               type == RTM_DELROUTE;
}

static void before_message(void)
{
        watch.written++;
        if (watch.end_at == watch.written)
                _exit(EXIT_SUCCESS);
        if (watch.every == 0 || watch.written % watch.every != 0)
                return;
        watch.wrong += probes_ask(watch.probes, watch.what, watch.written);
        watch.asked += watch.probes->n;
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to,
        socklen_t to_size)
{
        const char *bytes = data;
        size_t done = 0;

        while (done < size) {
                const struct nlmsghdr *message = (const void *)(bytes + done);
                size_t length = NLMSG_ALIGN(message->nlmsg_len);

                if (writes(message->nlmsg_type))
                        before_message();
                if (length > size - done)
                        length = size - done;
                if (syscall(SYS_sendto, fd, message, length, flags, to, to_size) < 0)
                        return -1;
                done += length;
        }
        return (ssize_t)size;
}

static unsigned stride = 1; /* stop before each so manieth message */

static void set_watch(const struct probes *probes, const char *what, unsigned every)
{
        watch.probes = probes;
        watch.what = what;
        watch.every = every;
        watch.written = watch.end_at = 0;
}

/* The kernel as it is before the change. */
static void begin(const struct world *before)
{
        set_watch(NULL, NULL, 0);
        set_device(before->device_up);
        reconcile(before, before, true);
}

/* A process that ends before its message number `end_at`. False: it had none of that number. */
static bool stop_before(const struct world *after, unsigned end_at)
{
        pid_t child = fork();
        int status;

        CHECK(child >= 0);
        if (child == 0) {
                set_watch(NULL, NULL, 0);
                watch.end_at = end_at;
                reconcile(after, after, true);
                _exit(EXIT_FAILURE);
        }
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status));
        return WEXITSTATUS(status) == EXIT_SUCCESS;
}

/* The device goes while nobody is there to react, and comes back empty. */
static void lose_device(const struct probes *probes, const struct world *before,
        const struct world *after, unsigned stopped)
{
        if (!before->device_up || !after->device_up ||
                before->settings->on_tunnel_down != TUNNEL_DOWN_BLOCK)
                return;
        set_device(false);
        watch.wrong += probes_ask(probes, "device lost after a stop before message", stopped);
        set_device(true);
        watch.wrong += probes_ask(probes, "device back after a stop before message", stopped);
        watch.asked += 2 * probes->n;
}

/* The next start, `n` messages having been planned: it has a list at once, or a snapshot of before
 * first, or nothing at all. */
static void start_again(const struct probes *probes, const struct world *before,
        const struct world *after, const struct world *nothing, unsigned stopped, unsigned n)
{
        /* Where there are many, not each of them each time: every stop has others. */
        set_watch(probes, "next start, message", stride > 30 ? 30 : n > 100 ? 5 : n > 40 ? 3 : 1);
        if (stopped / stride % 3 == 1)
                reconcile(after, before, false);
        else if (stopped / stride % 3 == 2)
                reconcile(after, nothing, false);
        reconcile(after, after, true);
        watch.wrong += probes_ask(probes, "converged after a stop before message", stopped);
}

static void stop_everywhere(const struct probes *probes, const struct world *before,
        const struct world *after, unsigned n)
{
        unsigned stops = 0, last = 0;
        struct world nothing;

        world_init_empty(&nothing);
        for (unsigned i = 1; i <= n; i += stride) {
                set_device(after->device_up);
                CHECK(stop_before(after, i));
                watch.wrong += probes_ask(probes, "stopped before message", i);
                watch.asked += probes->n;
                if (i / stride % 2 == 0)
                        lose_device(probes, before, after, i);
                start_again(probes, before, after, &nothing, i, n);
                if (i == 1 || i + stride > n)
                        check_converged(after, before);
                begin(before);
                stops++;
                last = i;
        }
        printf("# %u messages, stopped before %u of them, %zu flows, %lu answers\n", n, stops,
                probes->n, watch.asked);
        CHECK(last > 0 && stops >= n / stride);
        world_deinit(&nothing);
}

static void enter(void)
{
        CHECK(fixture_enter());
        convergence_begin();
        memset(&watch, 0, sizeof(watch));
}

static void leave(struct world *before, struct world *after)
{
        world_deinit(before);
        world_deinit(after);
        convergence_end();
}

/* `make` fills both worlds. */
static void run_scenario(void (*make)(struct world *before, struct world *after), size_t nodes)
{
        struct world before, after;
        struct probes probes;
        unsigned n;

        enter();
        make(&before, &after);
        begin(&before);
        check_converged(&before, &after);

        probes_init(&probes, &before, &after, nodes);
        set_device(after.device_up);
        set_watch(&probes, "message", stride == 1 ? 1 : 7);
        watch.wrong += probes_ask(&probes, "before it all", 0);
        reconcile(&after, &after, true);
        watch.wrong += probes_ask(&probes, "after it all", 0);
        n = watch.written;
        CHECK(n > 0 && n < MESSAGES_MAX);
        check_converged(&after, &before);
        begin(&before);

        if (stride == 1 && n > 60) {
                stride = 3;
                stop_everywhere(&probes, &before, &after, n);
                stride = 1;
        } else {
                stop_everywhere(&probes, &before, &after, n);
        }
        CHECK_INT(watch.wrong, 0);
        probes_deinit(&probes);
        leave(&before, &after);
}

#define SMALL(name)                             \
        static void name(void)                  \
        {                                       \
                run_scenario(change_##name, 8); \
        }
CHANGES(SMALL)

static void many_at_once(void)
{
        stride = 61;
        run_scenario(change_many_at_once, 6);
        stride = 1;
}

/* Tables that are looked up would change their meaning: refused, and what stands stays. */
static void tables_overlap(void)
{
        static const int moves[] = {1, -1, LAYOUT_TABLES, -LAYOUT_TABLES};

        for (size_t i = 0; i < ARRAY_SIZE(moves); i++) {
                bool possible = abs(moves[i]) >= LAYOUT_TABLES;
                struct world before, after;
                struct error error = {};

                enter();
                world_init_small(&before);
                world_init_small(&after);
                after.settings->table_base += (uint32_t)moves[i];
                begin(&before);
                set_watch(NULL, NULL, 0);
                CHECK_INT(try_reconcile(&after, &after, true, &error), possible ? 0 : -EADDRINUSE);
                CHECK(possible || watch.written == 0);
                if (!possible)
                        CHECK_HAS(error.text, "table_base");
                check_converged(possible ? &after : &before, possible ? &before : &after);
                reconcile(&before, &before, true);
                check_converged(&before, &after);
                leave(&before, &after);
        }
}

int main(int argc, char **argv)
{
#define ENTRY(name) TEST(name),
        static const struct test tests[] = {
                CHANGES(ENTRY) TEST(many_at_once), TEST(tables_overlap)};

        return fixture_possible() ? test_main(argc, argv, tests, ARRAY_SIZE(tests)) : EXIT_SUCCESS;
}
