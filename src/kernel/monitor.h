/*
 * What happens to links, addresses, rp_filter, rules and routes of this host, as the kernel
 * announces it (rtnetlink(7) multicast groups), on an sd-event loop.
 *
 * Announcements may be lost: they say when to look, never what there is. Open the monitor before
 * the first read, so that no change falls between the two.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basics/util.h"
#include "policy/fib.h"
#include "policy/layout.h"

struct monitor;
typedef struct sd_event sd_event;

/* A rule in our bands or a route in our tables that somebody else added, replaced or deleted. */
struct foreign_change {
        bool deleted;
        bool is_rule;
        uint32_t port_id; /* whose request it was; 0: the kernel's own doing */
        union {
                struct rule rule;
                struct route route;
        };
};

/* None may free the monitor. */
struct monitor_handlers {
        /* A link appeared, changed or went; also one that is not asked for: compare the name. */
        void (*link)(const char *name, uint32_t ifindex, bool deleted, void *userdata);
        /* An address of this host came, changed or went. */
        void (*address)(void *userdata);
        /* rp_filter was set on some link, or came with a new one; told once for many of these. */
        void (*rp_filter)(void *userdata);
        void (*foreign)(const struct foreign_change *change, void *userdata);
        /* Announcements were lost (−ENOBUFS, or what recvmsg(2) said): read everything again. */
        void (*overflow)(int code, void *userdata);
        void *userdata;
};

/*
 * Opens the socket and attaches it to the loop before ordinary sources. Changes that come from
 * `own_port_id` (netlink_port_id() of the request socket) are passed over. Routes of the main and
 * the local table are filtered in the kernel: the churn of a full routing table costs nothing.
 * The handlers are copied. Negative errno.
 */
int monitor_new(sd_event *event, uint32_t own_port_id, const struct monitor_handlers *handlers,
        struct monitor **ret);
/* Returns NULL. */
struct monitor *monitor_free(struct monitor *monitor);
DEFINE_CLEANUP(struct monitor *, monitor_free)

/*
 * The bands and tables to watch from now on, copied; none to begin with. Tables below 256 are not
 * seen (layout.h has ours above). −ENOMEM leaves the old ones.
 */
int monitor_set_layouts(struct monitor *monitor, const struct layout *layouts, size_t n_layouts);

/* Room for what port_id_describe() writes. */
#define PORT_ID_TEXT_MAX 64

/*
 * Who is behind a port id, as far as can be told: "ip[1234]" where a process of that number exists
 * (the first netlink socket of a process usually has its number), "the kernel" for 0, else "port id
 * N". Best effort: the process may be another by now. Returns buffer.
 */
const char *port_id_describe(uint32_t port_id, char buffer[static PORT_ID_TEXT_MAX]);
