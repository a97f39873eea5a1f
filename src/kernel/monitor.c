#include "kernel/monitor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "kernel/link.h"
#include "kernel/route_codec.h"
#include "kernel/rp_filter.h"
#include "kernel/rule_codec.h"

#define RECEIVE_BUFFER_SIZE (8 * 1024 * 1024) /* 10,000 rule events fit; the default holds 256 */
#define MESSAGE_SIZE        (32u * 1024)
#define MESSAGES_PER_WAKEUP 512 /* then the loop's other sources have their turn */
#define DRAIN_MESSAGES      100000
#define PRIORITY            (-100)

struct monitor {
        struct mnl_socket *socket;
        int fd;
        sd_event_source *source;
        uint32_t own_port_id;
        struct monitor_handlers handlers;
        struct layout *layouts;
        size_t n_layouts;
        char *buffer;
        bool rp_filter_seen; /* since the handler was called last */
};

static bool has_priority(const struct monitor *monitor, uint32_t priority)
{
        for (size_t i = 0; i < monitor->n_layouts; i++)
                if (layout_has_priority(&monitor->layouts[i], priority))
                        return true;
        return false;
}

static bool has_table(const struct monitor *monitor, uint32_t table)
{
        for (size_t i = 0; i < monitor->n_layouts; i++)
                if (layout_has_table(&monitor->layouts[i], table))
                        return true;
        return false;
}

static void link_changed(struct monitor *monitor, const struct nlmsghdr *message)
{
        const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
        struct link link;

        if (link_decode(message, &link) < 0 || header->ifi_family != AF_UNSPEC)
                return; /* a bridge's ports come as AF_BRIDGE */
        monitor->handlers.link(link.name, link.ifindex, message->nlmsg_type == RTM_DELLINK,
                monitor->handlers.userdata);
}

static void rule_changed(struct monitor *monitor, const struct nlmsghdr *message)
{
        struct foreign_change change = {
                .deleted = message->nlmsg_type == RTM_DELRULE,
                .is_rule = true,
                .port_id = message->nlmsg_pid,
        };

        if (rule_decode(message, &change.rule) >= 0 && has_priority(monitor, change.rule.priority))
                monitor->handlers.foreign(&change, monitor->handlers.userdata);
}

static void route_changed(struct monitor *monitor, const struct nlmsghdr *message)
{
        struct foreign_change change = {
                .deleted = message->nlmsg_type == RTM_DELROUTE,
                .port_id = message->nlmsg_pid,
        };

        if (route_decode(message, &change.route) >= 0 && has_table(monitor, change.route.table))
                monitor->handlers.foreign(&change, monitor->handlers.userdata);
}

static void dispatch_message(struct monitor *monitor, const struct nlmsghdr *message)
{
        bool own = message->nlmsg_pid == monitor->own_port_id;

        switch (message->nlmsg_type) {
        case RTM_NEWLINK:
        case RTM_DELLINK: link_changed(monitor, message); break;
        case RTM_NEWADDR:
        case RTM_DELADDR: monitor->handlers.address(monitor->handlers.userdata); break;
        case RTM_NEWNETCONF: monitor->rp_filter_seen |= rp_filter_announced(message); break;
        case RTM_NEWRULE:
        case RTM_DELRULE:
                if (!own)
                        rule_changed(monitor, message);
                break;
        case RTM_NEWROUTE:
        case RTM_DELROUTE:
                if (!own)
                        route_changed(monitor, message);
                break;
        }
}

/* One datagram. −EAGAIN: nothing more. 0 bytes in *ret: one that is not the kernel's. */
static int receive(struct monitor *monitor, size_t *ret)
{
        struct sockaddr_nl sender = {};
        struct iovec vector = {.iov_base = monitor->buffer, .iov_len = MESSAGE_SIZE};
        struct msghdr header = {
                .msg_name = &sender,
                .msg_namelen = sizeof(sender),
                .msg_iov = &vector,
                .msg_iovlen = 1,
        };
        ssize_t n;

        do
                n = recvmsg(monitor->fd, &header, MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        if (header.msg_flags & MSG_TRUNC)
                return -EMSGSIZE;
        *ret = sender.nl_pid == 0 ? (size_t)n : 0;
        return 0;
}

/* What is left in the queue is older than the loss: the full read that follows covers it. */
static void drain(struct monitor *monitor)
{
        size_t n;

        for (unsigned i = 0; i < DRAIN_MESSAGES; i++)
                if (receive(monitor, &n) == -EAGAIN)
                        return;
}

/* A new link tells of several settings, and many links may come at once. */
static void tell_rp_filter(struct monitor *monitor)
{
        if (!monitor->rp_filter_seen)
                return;
        monitor->rp_filter_seen = false;
        monitor->handlers.rp_filter(monitor->handlers.userdata);
}

/* Never fails: a negative return would disable the source for good. */
static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        struct monitor *monitor = userdata;

        for (unsigned i = 0; i < MESSAGES_PER_WAKEUP; i++) {
                const struct nlmsghdr *message = (const struct nlmsghdr *)(void *)monitor->buffer;
                size_t n = 0;
                int r, left;

                r = receive(monitor, &n);
                if (r == -EAGAIN)
                        break;
                if (r < 0) {
                        drain(monitor);
                        monitor->handlers.overflow(r, monitor->handlers.userdata);
                        break;
                }
                left = (int)n;
                for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
                        dispatch_message(monitor, message);
        }
        tell_rp_filter(monitor);
        return 0;
}

/*
 * Lets through everything but routes whose table has a number below 256: the one byte of the header
 * says RT_TABLE_COMPAT for all above. The kernel puts one announcement into one datagram.
 */
static int attach_filter(int fd)
{
        const uint32_t type = offsetof(struct nlmsghdr, nlmsg_type);
        const uint32_t table = sizeof(struct nlmsghdr) + offsetof(struct rtmsg, rtm_table);
        struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_H | BPF_ABS, type), /* in network byte order */
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 1, 0),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 2),
                BPF_STMT(BPF_LD | BPF_B | BPF_ABS, table),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RT_TABLE_COMPAT, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
                BPF_STMT(BPF_RET | BPF_K, 0),
        };
        struct sock_fprog program = {.len = ARRAY_SIZE(filter), .filter = filter};

        if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
                return -errno;
        return 0;
}

static int open_socket(struct monitor *monitor)
{
        static const int groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_IPV4_ROUTE,
                RTNLGRP_IPV6_ROUTE};
        int size = RECEIVE_BUFFER_SIZE;
        int r;

        monitor->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (!monitor->socket)
                return -errno;
        monitor->fd = mnl_socket_get_fd(monitor->socket);
        if (setsockopt(monitor->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
                (void)setsockopt(monitor->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
        r = attach_filter(monitor->fd);
        if (r < 0)
                return r;
        if (mnl_socket_bind(monitor->socket, 0, MNL_SOCKET_AUTOPID) < 0)
                return -errno;
        for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
                int group = groups[i];

                if (mnl_socket_setsockopt(
                            monitor->socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
                        return -errno;
        }
        return 0;
}

int monitor_new(sd_event *event, uint32_t own_port_id, const struct monitor_handlers *handlers,
        struct monitor **ret)
{
        _cleanup_(monitor_freep) struct monitor *monitor = NULL;
        int r;

        monitor = calloc(1, sizeof(*monitor));
        if (!monitor)
                return -ENOMEM;
        monitor->own_port_id = own_port_id;
        monitor->handlers = *handlers;
        monitor->buffer = malloc(MESSAGE_SIZE);
        if (!monitor->buffer)
                return -ENOMEM;
        r = open_socket(monitor);
        if (r < 0)
                return r;
        r = sd_event_add_io(event, &monitor->source, monitor->fd, EPOLLIN, on_readable, monitor);
        if (r < 0)
                return r;
        r = sd_event_source_set_priority(monitor->source, PRIORITY);
        if (r < 0)
                return r;
        (void)sd_event_source_set_description(monitor->source, "rtnetlink-monitor");
        *ret = TAKE_PTR(monitor);
        return 0;
}

struct monitor *monitor_free(struct monitor *monitor)
{
        if (!monitor)
                return NULL;
        sd_event_source_disable_unref(monitor->source);
        if (monitor->socket)
                mnl_socket_close(monitor->socket);
        free(monitor->layouts);
        free(monitor->buffer);
        free(monitor);
        return NULL;
}

int monitor_set_layouts(struct monitor *monitor, const struct layout *layouts, size_t n_layouts)
{
        struct layout *copy;

        copy = calloc(n_layouts + 1, sizeof(*copy));
        if (!copy)
                return -ENOMEM;
        for (size_t i = 0; i < n_layouts; i++)
                copy[i] = layouts[i];
        free(monitor->layouts);
        monitor->layouts = copy;
        monitor->n_layouts = n_layouts;
        return 0;
}

const char *port_id_describe(uint32_t port_id, char buffer[static PORT_ID_TEXT_MAX])
{
        char path[32], name[32];
        FILE *file;

        if (port_id == 0) {
                snprintf(buffer, PORT_ID_TEXT_MAX, "the kernel");
                return buffer;
        }
        snprintf(buffer, PORT_ID_TEXT_MAX, "port id %u", port_id);
        snprintf(path, sizeof(path), "/proc/%u/comm", port_id);
        file = fopen(path, "re");
        if (!file)
                return buffer;
        if (fgets(name, sizeof(name), file)) {
                name[strcspn(name, "\n")] = '\0';
                snprintf(buffer, PORT_ID_TEXT_MAX, "%s[%u]", name, port_id);
        }
        fclose(file);
        return buffer;
}
