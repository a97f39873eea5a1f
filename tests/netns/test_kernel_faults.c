/*
 * Requests to the kernel when something goes wrong: errors inside large batches, answers that are
 * lost, dumps that are cut or interrupted. The faults are put in between: this program's
 * sendto(2), recvmsg(2) and setsockopt(2) stand before libc's.
 */
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "fixture.h"
#include "kernel/fib_apply.h"
#include "kernel/fib_read.h"
#include "test.h"

#define NODES 51871u
#define MANY  20000u

/* What is to happen; zero is nothing. Each counts down. */
static struct {
        bool refuse_force; /* no CAP_NET_ADMIN in the initial namespace */
        unsigned lose;     /* answers; the wait for them is over at once */
        unsigned swallow;  /* answers; the wait is real */
        unsigned overrun;  /* ENOBUFS on receiving, the queue being lost */
        unsigned cut;
        unsigned interrupt; /* dumps */
        unsigned refuse_send;
        int refuse_code;
} fault;

static unsigned sends;

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to,
        socklen_t to_size)
{
        sends++;
        if (fault.refuse_send > 0 && --fault.refuse_send == 0) {
                errno = fault.refuse_code;
                return -1;
        }
        return syscall(SYS_sendto, fd, data, size, flags, to, to_size);
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
        if (fault.refuse_force && level == SOL_SOCKET &&
                (option == SO_SNDBUFFORCE || option == SO_RCVBUFFORCE)) {
                errno = EPERM;
                return -1;
        }
        return (int)syscall(SYS_setsockopt, fd, level, option, value, size);
}

static ssize_t lose_queue(int fd, struct msghdr *header)
{
        while (syscall(SYS_recvmsg, fd, header, MSG_DONTWAIT) >= 0)
                continue;
        errno = ENOBUFS;
        return -1;
}

ssize_t recvmsg(int fd, struct msghdr *header, int flags)
{
        struct nlmsghdr *message = header->msg_iov->iov_base;
        ssize_t n;

        if (fault.overrun > 0 && --fault.overrun == 0)
                return lose_queue(fd, header);
        n = syscall(SYS_recvmsg, fd, header, flags);
        if (n < 0)
                return n;
        if (fault.swallow > 0 && --fault.swallow == 0)
                n = syscall(SYS_recvmsg, fd, header, flags);
        if (n < 0)
                return n;
        if (fault.lose > 0 && --fault.lose == 0) {
                errno = EAGAIN; /* as when SO_RCVTIMEO is over */
                return -1;
        }
        if (fault.cut > 0 && --fault.cut == 0)
                header->msg_flags |= MSG_TRUNC;
        if (fault.interrupt > 0 && message->nlmsg_flags & NLM_F_MULTI &&
                message->nlmsg_type != NLMSG_DONE) {
                message->nlmsg_flags |= NLM_F_DUMP_INTR;
                fault.interrupt--;
        }
        return n;
}

static struct netlink *enter(void)
{
        memset(&fault, 0, sizeof(fault));
        CHECK(fixture_enter());
        return fixture_netlink(NETLINK_ROUTE);
}

static struct route nth_twin(unsigned i)
{
        struct route route = twin("10.0.0.0/32", NODES);

        route.destination.address.bytes[1] = (uint8_t)(i >> 16);
        route.destination.address.bytes[2] = (uint8_t)(i >> 8);
        route.destination.address.bytes[3] = (uint8_t)i;
        return route;
}

/* A twin for each of n; those for which is_bad() holds name a device that does not exist. */
static void add_many(struct steps *steps, unsigned n, bool (*is_bad)(unsigned))
{
        for (unsigned i = 0; i < n; i++) {
                struct route route = nth_twin(i);

                if (is_bad && is_bad(i)) {
                        route.type = RTN_UNICAST;
                        route.scope = RT_SCOPE_LINK;
                        route.oif = 9999;
                }
                add_route_step(steps, STEP_REPLACE_ROUTE, 0, &route);
        }
}

static bool is_one(unsigned i)
{
        return i == 10007;
}

static bool is_odd(unsigned i)
{
        return i % 2;
}

static bool is_any(unsigned i)
{
        return true;
}

static void large_batch(void)
{
        struct apply_result result;
        struct timespec begin, end;
        struct netlink *nl = enter();
        struct steps steps = {};
        struct fib actual = {};

        add_many(&steps, MANY, NULL);
        sends = 0;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        CHECK_INT(kernel_fib_apply(nl, &steps, &result), 0);
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("# %u routes in %u sends, %.1f ms\n", MANY, sends,
                (double)(end.tv_sec - begin.tv_sec) * 1e3 +
                        (double)(end.tv_nsec - begin.tv_nsec) / 1e6);
        CHECK(sends < MANY / 1000);
        CHECK_INT(result.written, MANY);
        read_fib(nl, &actual);
        CHECK_INT(actual.n_routes, MANY);
        for (unsigned i = 0; i < MANY; i++)
                steps.items[i].kind = STEP_DELETE_ROUTE;
        CHECK_INT(kernel_fib_apply(nl, &steps, &result), 0);
        read_fib(nl, &actual);
        CHECK_INT(actual.n_routes, 0);
        netlink_free(nl);
        steps_free(&steps);
        fib_deinit(&actual);
}

/* One bad message among many is named, and keeps nothing from being done. */
static void error_in_the_middle(void)
{
        struct netlink *nl = enter();
        struct apply_result result;
        struct steps steps = {};
        struct fib actual = {};

        add_many(&steps, MANY, is_one);
        CHECK_INT(kernel_fib_apply(nl, &steps, &result), -ENODEV);
        CHECK_INT(result.failed, 1);
        CHECK_INT(result.written, MANY - 1);
        CHECK_HAS(result.first.text, "cannot set route \"10.0.39.23/32 dev #9999");
        CHECK_HAS(result.first.text, "No such device");
        read_fib(nl, &actual);
        CHECK_INT(actual.n_routes, MANY - 1);
        netlink_free(nl);
        steps_free(&steps);
        fib_deinit(&actual);
}

/* Thousands of errors must fit, also into the small buffers of somebody without privilege. */
static void many_errors(void)
{
        for (int small = 0; small < 2; small++) {
                struct netlink *nl = enter();
                struct apply_result result;
                struct steps steps = {};
                struct fib actual = {};

                if (small) {
                        fault.refuse_force = true;
                        netlink_free(nl);
                        nl = fixture_netlink(NETLINK_ROUTE);
                }
                add_many(&steps, MANY, is_odd);
                CHECK_INT(kernel_fib_apply(nl, &steps, &result), -ENODEV);
                CHECK_INT(result.failed, MANY / 2);
                CHECK_HAS(result.first.text, "10.0.0.1/32");
                read_fib(nl, &actual);
                CHECK_INT(actual.n_routes, MANY / 2);
                steps_free(&steps);
                add_many(&steps, MANY, is_any);
                CHECK_INT(kernel_fib_apply(nl, &steps, &result), -ENODEV);
                CHECK_INT(result.failed, MANY);
                CHECK_INT(result.written, 0);
                netlink_free(nl);
                steps_free(&steps);
                fib_deinit(&actual);
        }
}

/* The step behind a failed vital one would open a hole: it is not done. */
static void vital_failure_stops(void)
{
        struct rule rule = lookup_rule(AF_INET, LAYOUT_NODES, NODES);
        struct netlink *nl = enter();
        struct apply_result result;
        struct steps steps = {};
        struct fib actual = {};

        add_many(&steps, 3, NULL);
        steps.items[1].route.type = RTN_UNICAST;
        steps.items[1].route.oif = 9999;
        add_rule_step(&steps, STEP_ADD_RULE, 1, &rule);
        CHECK_INT(kernel_fib_apply(nl, &steps, &result), -ENODEV);
        CHECK_INT(result.written, 3); /* not vital: the rule came as well */
        CHECK_INT(result.skipped, 0);
        CHECK(!result.vital_failed);
        rule.priority++;
        add_rule_step(&steps, STEP_ADD_RULE, 2, &rule);
        steps.items[1].vital = true;
        CHECK_INT(kernel_fib_apply(nl, &steps, &result), -ENODEV);
        CHECK(result.vital_failed);
        CHECK_INT(result.written, 2);
        CHECK_INT(result.failed, 1);
        CHECK_INT(result.skipped, 2);
        read_fib(nl, &actual);
        CHECK_INT(actual.n_rules, 1);
        CHECK_INT(actual.n_routes, 2);
        netlink_free(nl);
        steps_free(&steps);
        fib_deinit(&actual);
}

/* A lost answer is an error of that request, and none of the next one. */
static void lost_answer(void)
{
        struct netlink *nl = enter();
        struct apply_result result;
        struct steps steps = {};
        struct fib actual = {};

        add_many(&steps, 100, NULL);
        fault.lose = 1;
        CHECK_INT(kernel_fib_apply(nl, &steps, &result), -ETIMEDOUT);
        CHECK_INT(result.failed, 100);
        read_fib(nl, &actual);
        CHECK_INT(actual.n_routes, 100); /* it was done all the same */
        fault.overrun = 1;
        CHECK_INT(kernel_fib_apply(nl, &steps, &result), -ENOBUFS);
        CHECK_INT(result.failed, 100);
        CHECK_INT(kernel_fib_apply(nl, &steps, &result), 0);
        fault.lose = 1;
        CHECK_INT(kernel_fib_read(nl, &test_layout, 1, &actual, &result.first), -ETIMEDOUT);
        CHECK_INT(actual.n_routes, 0);
        read_fib(nl, &actual);
        CHECK_INT(actual.n_routes, 100);
        netlink_free(nl);
        steps_free(&steps);
        fib_deinit(&actual);
}

/* The wait for an answer that never comes ends. */
static void no_answer_is_bounded(void)
{
        struct netlink *nl = enter();
        struct nlmsghdr message = {.nlmsg_len = sizeof(message), .nlmsg_type = NLMSG_NOOP};
        struct timespec begin, end;
        struct error error = {};
        struct fib actual = {};

        clock_gettime(CLOCK_MONOTONIC, &begin);
        fault.swallow = 1;
        CHECK_INT(netlink_request(nl, &message, NULL, NULL, &error), -ETIMEDOUT);
        clock_gettime(CLOCK_MONOTONIC, &end);
        CHECK(end.tv_sec - begin.tv_sec >= NETLINK_TIMEOUT_SEC - 1);
        CHECK(end.tv_sec - begin.tv_sec <= NETLINK_TIMEOUT_SEC + 1);
        CHECK_HAS(error.text, "no answer from the kernel");
        read_fib(nl, &actual);
        netlink_free(nl);
        fib_deinit(&actual);
}

/* What the kernel refuses to take. */
static void refused_sends(void)
{
        static const int codes[] = {EPERM, ENOBUFS, ENOMEM, EMSGSIZE};
        struct netlink *nl = enter();
        struct apply_result result;
        struct steps steps = {};

        add_many(&steps, MANY, NULL);
        for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
                fault.refuse_send = 3;
                fault.refuse_code = codes[i];
                CHECK_INT(kernel_fib_apply(nl, &steps, &result), -codes[i]);
                CHECK(result.written > 0 && result.written < MANY);
                CHECK_INT(result.written + result.failed, MANY);
                CHECK_HAS(result.first.text, strerror(codes[i]));
        }
        CHECK_INT(kernel_fib_apply(nl, &steps, &result), 0);
        netlink_free(nl);
        steps_free(&steps);
}

/* A dump that changed while it was read is done again, and nothing in it counts twice. */
static void interrupted_dump(void)
{
        struct netlink *nl = enter();
        struct apply_result result;
        struct error error = {};
        struct steps steps = {};
        struct fib actual = {};

        add_many(&steps, 5000, NULL);
        CHECK_INT(kernel_fib_apply(nl, &steps, &result), 0);
        fault.interrupt = 3;
        read_fib(nl, &actual);
        CHECK_INT(actual.n_routes, 5000);
        fib_deinit(&actual);
        fault.interrupt = 1000000;
        CHECK_INT(kernel_fib_read(nl, &test_layout, 1, &actual, &error), -EAGAIN);
        CHECK_INT(actual.n_routes, 0);
        CHECK_HAS(error.text, "changed 5 times while it was read");
        fault.interrupt = 0;
        read_fib(nl, &actual);
        CHECK_INT(actual.n_routes, 5000);
        netlink_free(nl);
        steps_free(&steps);
        fib_deinit(&actual);
}

/* A message that did not fit is an error, not a short table: that would delete live policy. */
static void cut_dump(void)
{
        struct netlink *nl = enter();
        struct apply_result result;
        struct error error = {};
        struct steps steps = {};
        struct fib actual = {};

        add_many(&steps, 5000, NULL);
        CHECK_INT(kernel_fib_apply(nl, &steps, &result), 0);
        for (unsigned i = 1; i < 12; i++) {
                fault.cut = i;
                CHECK_INT(kernel_fib_read(nl, &test_layout, 1, &actual, &error), -EMSGSIZE);
                CHECK_INT(actual.n_routes, 0);
        }
        read_fib(nl, &actual);
        CHECK_INT(actual.n_routes, 5000);
        netlink_free(nl);
        steps_free(&steps);
        fib_deinit(&actual);
}

static int refuse(const struct nlmsghdr *message, void *userdata)
{
        unsigned *calls = userdata;

        return message && ++*calls == 3 ? -EPROTO : 0;
}

/* A handler that has had enough leaves no half-read dump behind. */
static void handler_gives_up(void)
{
        struct {
                struct nlmsghdr header;
                struct rtmsg body;
        } request = {
                .header = {.nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETROUTE},
                .body = {.rtm_family = AF_INET},
        };
        struct netlink *nl = enter();
        struct apply_result result;
        struct error error = {};
        struct steps steps = {};
        struct fib actual = {};
        unsigned calls = 0;

        add_many(&steps, 5000, NULL);
        CHECK_INT(kernel_fib_apply(nl, &steps, &result), 0);
        CHECK_INT(netlink_dump(nl, &request.header, refuse, &calls, &error), -EPROTO);
        CHECK_INT(calls, 3);
        read_fib(nl, &actual);
        CHECK_INT(actual.n_routes, 5000);
        netlink_free(nl);
        steps_free(&steps);
        fib_deinit(&actual);
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {TEST(large_batch), TEST(error_in_the_middle),
                TEST(many_errors), TEST(vital_failure_stops), TEST(lost_answer),
                TEST(no_answer_is_bounded), TEST(refused_sends), TEST(interrupted_dump),
                TEST(cut_dump), TEST(handler_gives_up)};

        return fixture_possible() ? test_main(argc, argv, tests, ARRAY_SIZE(tests)) : EXIT_SUCCESS;
}
