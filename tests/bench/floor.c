#include "floor.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basics/util.h"
#include "kernel/netlink.h"
#include "kernel/route_codec.h"
#include "kernel/rule_codec.h"

#define SEND_SIZE   (256u * 1024) /* larger ones were not faster */
#define BUFFER_SIZE (8 * 1024 * 1024)

struct floor {
        int fd;
        char *data;
        size_t size;
        size_t allocated;
        size_t n;
        uint32_t sequence;
};

struct floor *floor_new(void)
{
        struct floor *floor = calloc(1, sizeof(*floor));
        struct sockaddr_nl any = {.nl_family = AF_NETLINK};
        int size = BUFFER_SIZE;

        if (!floor)
                return NULL;
        floor->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        if (floor->fd < 0 || bind(floor->fd, (struct sockaddr *)&any, sizeof(any)) < 0) {
                floor_free(floor);
                return NULL;
        }
        (void)setsockopt(floor->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
        (void)setsockopt(floor->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
        return floor;
}

void floor_free(struct floor *floor)
{
        if (floor->fd >= 0)
                close(floor->fd);
        free(floor->data);
        free(floor);
}

size_t floor_messages(const struct floor *floor)
{
        return floor->n;
}

static struct nlmsghdr *begin(struct floor *floor)
{
        if (floor->allocated - floor->size < NETLINK_MESSAGE_MAX) {
                size_t wanted = (floor->allocated + NETLINK_MESSAGE_MAX) * 2;
                char *data = realloc(floor->data, wanted);

                if (!data)
                        return NULL;
                floor->data = data;
                floor->allocated = wanted;
        }
        return (struct nlmsghdr *)(void *)(floor->data + floor->size);
}

static void end(struct floor *floor, struct nlmsghdr *message, uint16_t flags)
{
        message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
        floor->size += NLMSG_ALIGN(message->nlmsg_len);
        floor->n++;
}

static int load_rule(struct floor *floor, const struct rule *rule, enum floor_verb verb)
{
        struct nlmsghdr *message = begin(floor);

        if (!message)
                return -ENOMEM;
        if (verb == FLOOR_WRITE)
                end(floor, rule_encode(message, RTM_NEWRULE, rule), NLM_F_CREATE | NLM_F_EXCL);
        else
                end(floor, rule_encode(message, RTM_DELRULE, rule), 0);
        return 0;
}

static int load_route(struct floor *floor, const struct route *route, enum floor_verb verb)
{
        struct nlmsghdr *message = begin(floor);

        if (!message)
                return -ENOMEM;
        if (verb == FLOOR_WRITE)
                end(floor, route_encode(message, RTM_NEWROUTE, route),
                        NLM_F_CREATE | NLM_F_REPLACE);
        else
                end(floor, route_encode(message, RTM_DELROUTE, route), 0);
        return 0;
}

int floor_load(struct floor *floor, const struct fib *fib, enum floor_verb verb)
{
        int r = 0;

        floor->size = floor->n = 0;
        for (size_t i = 0; r >= 0 && verb == FLOOR_DELETE && i < fib->n_rules; i++)
                r = load_rule(floor, &fib->rules[i], verb);
        for (size_t i = 0; r >= 0 && i < fib->n_routes; i++)
                r = load_route(floor, &fib->routes[i], verb);
        for (size_t i = 0; r >= 0 && verb == FLOOR_WRITE && i < fib->n_rules; i++)
                r = load_rule(floor, &fib->rules[i], verb);
        return r;
}

/* Until the acknowledgement of message `last`; the first error on the way. */
static int collect(struct floor *floor, uint32_t last)
{
        char buffer[32768] __attribute__((aligned(8)));
        int first = 0;

        for (;;) {
                const struct nlmsghdr *message = (const struct nlmsghdr *)(void *)buffer;
                int n = (int)recv(floor->fd, buffer, sizeof(buffer), 0);

                if (n < 0)
                        return -errno;
                for (; mnl_nlmsg_ok(message, n); message = mnl_nlmsg_next(message, &n)) {
                        const struct nlmsgerr *answer = mnl_nlmsg_get_payload(message);

                        if (message->nlmsg_type == NLMSG_ERROR && answer->error && !first)
                                first = answer->error;
                        if (message->nlmsg_seq == last)
                                return first;
                }
        }
}

int floor_send(struct floor *floor)
{
        int first = 0;

        for (size_t done = 0; done < floor->size;) {
                struct nlmsghdr *message = NULL;
                size_t size = 0;
                int r;

                while (done + size < floor->size && size < SEND_SIZE - NETLINK_MESSAGE_MAX) {
                        message = (struct nlmsghdr *)(void *)(floor->data + done + size);
                        message->nlmsg_seq = ++floor->sequence;
                        size += NLMSG_ALIGN(message->nlmsg_len);
                }
                if (message)
                        message->nlmsg_flags |= NLM_F_ACK;
                if (send(floor->fd, floor->data + done, size, 0) < 0)
                        return -errno;
                r = collect(floor, floor->sequence);
                if (r < 0 && first == 0)
                        first = r;
                done += size;
        }
        return first;
}
