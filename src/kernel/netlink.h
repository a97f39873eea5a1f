/*
 * A request socket to the kernel: NETLINK_ROUTE (rtnetlink(7)) or NETLINK_GENERIC, over libmnl.
 * Requests are synchronous: the kernel carries them out inside send(2) and its answer is there when
 * send returns, so nothing waits. An answer that is lost all the same costs at most
 * NETLINK_TIMEOUT_SEC, and the sequence numbers keep it from being taken for a later one's.
 *
 * The socket has strict checking (NETLINK_GET_STRICT_CHK: filters of dumps are honoured) and
 * extended acknowledgements (NETLINK_EXT_ACK: errors have a text, for some causes) where the kernel
 * knows them (4.12 and 4.20).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "basics/error.h"

struct netlink;
struct nlmsghdr;

/* The room that a message under construction has; ours take a third of it. */
#define NETLINK_MESSAGE_MAX 1024u
#define NETLINK_TIMEOUT_SEC 5

/*
 * Called for a message from the kernel, which is borrowed. What it returns below zero ends the
 * request with that code.
 */
typedef int (*netlink_handler)(const struct nlmsghdr *message, void *userdata);

/* `protocol` is NETLINK_ROUTE or NETLINK_GENERIC. Negative errno of socket(2) or bind(2). */
int netlink_new(int protocol, struct netlink **ret);
/* Returns NULL. */
struct netlink *netlink_free(struct netlink *nl);
DEFINE_CLEANUP(struct netlink *, netlink_free)

/*
 * Our port id: what notifications carry for a change that this socket asked for (monitor.h).
 */
uint32_t netlink_port_id(const struct netlink *nl);

/*
 * Sends one message (the flags REQUEST and ACK and the sequence number are filled in) and hands
 * what the kernel answers before its acknowledgement to `handler`, which may be NULL.
 * The kernel's negative errno, with its words in *error (may be NULL); −ETIMEDOUT: no answer.
 */
int netlink_request(struct netlink *nl, struct nlmsghdr *message, netlink_handler handler,
        void *userdata, struct error *error);

/*
 * The same for a dump (REQUEST and DUMP are filled in). The kernel marks a dump that changed while
 * it was read (NLM_F_DUMP_INTR): it is incomplete, and is done again, a few times. Before each
 * attempt `handler` (never NULL) is called with NULL: forget what was collected.
 * −EAGAIN: interrupted every time. −EMSGSIZE: a message was cut.
 */
int netlink_dump(struct netlink *nl, struct nlmsghdr *message, netlink_handler handler,
        void *userdata, struct error *error);

/*
 * A dump in steps, for one that is long, on a socket of its own: nothing else may be asked through
 * it until the dump is over. netlink_free() ends it early; the kernel holds on to what is dumped
 * until then (a device cannot go away), so it must be either read on or ended, and soon.
 */
int netlink_dump_begin(struct netlink *nl, struct nlmsghdr *message, netlink_handler handler,
        void *userdata, struct error *error);
/*
 * Takes one datagram, some 32 kB, if one is there, and hands its messages to the handler; what that
 * refuses ends what it is given, not the dump. The kernel makes the next datagram when one is
 * taken. 0: there is more. 1: that was all. Negative: the dump is over and worth nothing, as above,
 * but tried once only (−EAGAIN: interrupted).
 */
int netlink_dump_step(struct netlink *nl, struct error *error);
/* Readable when there is something to take. */
int netlink_fd(const struct netlink *nl);

/* Many messages, none of which has an answer but its acknowledgement. */
struct netlink_batch {
        size_t n;
        /* Writes message `index` into NETLINK_MESSAGE_MAX bytes at `buffer`; returns it. */
        struct nlmsghdr *(*build)(void *buffer, size_t index, void *userdata);
        /*
         * Called for each message that failed, in their order. `text` is the kernel's, "" when it
         * has none. −ENOBUFS and −ETIMEDOUT: the answer was lost, the message may have done its
         * work.
         */
        void (*failed)(size_t index, int code, const char *text, void *userdata);
        void *userdata;
};

/*
 * Sends them in order, many in one send(2) of bounded size, with an acknowledgement asked for the
 * last of each send only: the kernel reports errors always. One that fails does not keep those
 * after it from being carried out.
 * 0: every message was sent, and each failure reported. Negative: sending broke off; the messages
 * that were not sent are reported as failed with that code.
 */
int netlink_batch(struct netlink *nl, const struct netlink_batch *batch);

/* Words for a code of the kernel and its text, which may be ""; returns `code`. */
int netlink_error_set(struct error *error, int code, const char *text);
