#include "ctl/question.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "basics/log.h"
#include "config/config.h"
#include "ctl/flow_arguments.h"
#include "kernel/netlink.h"
#include "kernel/sink_link.h"
#include "kernel/wireguard.h"

void question_init(struct question *q)
{
        *q = (struct question){.protocol = "tcp", .namespace = NETWORK_NAMESPACE_NONE};
        options_init(&q->options);
}

void question_deinit(struct question *q)
{
        free(q->local);
        netlink_free(q->nl);
        snapshot_deinit(&q->snapshot);
        settings_free(q->settings);
        options_deinit(&q->options);
        network_namespace_close(&q->namespace);
}

static int read_snapshot(struct question *q)
{
        _cleanup_free_ char *path = NULL;
        struct error error = {};
        int r;

        if (asprintf(&path, "%s/%s", q->settings->state_directory, SNAPSHOT_FILE) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = snapshot_read(path, &q->snapshot, &error);
        if (r == -ENOENT) {
                q->snapshot.cluster = cluster_new();
                log_warning("no snapshot at %s: the policy's side knows no nodes", path);
                return q->snapshot.cluster ? 0 : -ENOMEM;
        }
        if (r < 0)
                log_error("%s", error.text);
        return r;
}

static void read_mark(struct question *q)
{
        struct wireguard wireguard;

        q->device.mark = DEFAULT_MARK;
        if (q->link.ifindex != 0 && wireguard_read(q->link.ifindex, &wireguard, NULL) >= 0 &&
                wireguard.fwmark != 0)
                q->device.mark = wireguard.fwmark;
}

static int read_kernel(struct question *q)
{
        struct error error = {};
        int r = netlink_new(NETLINK_ROUTE, &q->nl);

        if (r < 0) {
                log_error("rtnetlink: %s", strerror(-r));
                return r;
        }
        r = link_read(q->nl, q->settings->interface, &q->link, &error);
        if (r >= 0 || r == -ENODEV)
                r = own_link_read(q->nl, &sink_link, &q->sink, &error);
        if (r >= 0)
                r = addresses_read(q->nl, &q->local, &q->device.n_local, &error);
        if (r < 0) {
                log_error("%s", error.text);
                return r;
        }
        q->device.local = q->local;
        q->device.ifindex = q->link.ifindex;
        q->device.usable = q->link.up && link_encrypts(&q->link);
        read_mark(q);
        return 0;
}

/* An address, or the name of a node: its address of the source's family, else IPv4 first. */
static int resolve_destination(struct question *q, const char *host)
{
        const struct node *node;

        if (address_parse(host, &q->flow.destination) >= 0)
                return 0;
        node = cluster_find(q->snapshot.cluster, host);
        for (int i = 0; node && i < FAMILY_MAX; i++) {
                const struct address *address = &node->addresses[i];

                if (address->family == 0 ||
                        (q->flow.source.family != 0 && q->flow.source.family != address->family))
                        continue;
                q->flow.destination = *address;
                return 0;
        }
        log_error("%s is neither an address nor a node with one", host);
        return -EINVAL;
}

static int build_flow(struct question *q)
{
        _cleanup_free_ char *host = NULL;

        if (q->source && address_port_parse(q->source, &q->flow.source, &q->flow.source_port) < 0) {
                log_error("--from %s: not an address", q->source);
                return -EINVAL;
        }
        if (host_port_parse(q->destination, &host, &q->flow.destination_port) < 0) {
                log_error("%s: not a destination", q->destination);
                return -EINVAL;
        }
        if (resolve_destination(q, host) < 0)
                return -EINVAL;
        if (q->source && q->flow.source.family != q->flow.destination.family) {
                log_error("source and destination are of different families");
                return -EINVAL;
        }
        if (any_protocol_parse(q->protocol, q->flow.destination.family, &q->flow.ip_protocol) < 0) {
                log_error("--protocol %s: not a protocol", q->protocol);
                return -EINVAL;
        }
        if (q->mark && mark_parse(q->mark, &q->flow.mark) < 0) {
                log_error("--mark %s: not a mark", q->mark);
                return -EINVAL;
        }
        return 0;
}

/* A source that is not ours comes in where the kernel would answer it. */
static int find_way_in(struct question *q)
{
        struct flow back = {.destination = q->flow.source, .ip_protocol = q->flow.ip_protocol};
        struct route_answer answer;
        struct error error = {};
        char text[ADDRESS_TEXT_MAX];
        int r;

        if (q->iif != 0 || q->flow.source.family == 0 ||
                device_has_local(&q->device, &q->flow.source))
                return 0;
        q->flow.forwarded = true;
        r = route_query(q->nl, &back, 0, &answer, &error);
        if (r >= 0 && answer.result < 0)
                r = error_set(&error, answer.result, "%s", strerror(-answer.result));
        if (r < 0) {
                log_error("no way back to the source %s: %s", address_format(&q->flow.source, text),
                        error.text);
                return r;
        }
        q->iif = answer.oif;
        return 0;
}

/* What is asked while inside; *ret_peer is the other end of the link it leaves by. */
static int ask_inside(
        struct question *q, struct netlink *nl, struct link *ret_link, struct error *error)
{
        int r = route_query(nl, &q->flow, 0, &q->first, error);

        if (r < 0 || q->first.result < 0 || q->first.oif == 0)
                return r;
        r = link_read_index(nl, q->first.oif, ret_link, error);
        if (r >= 0)
                q->first_mtu = ret_link->mtu;
        return r;
}

static int look_inside(struct question *q, struct link *ret_link)
{
        struct error error = {}, back = {};
        _cleanup_(netlink_freep) struct netlink *nl = NULL;
        int r = network_namespace_enter(&q->namespace, &error), left;

        if (r < 0) {
                log_error("%s", error.text);
                return r;
        }
        r = netlink_new(NETLINK_ROUTE, &nl);
        if (r < 0)
                error_set(&error, r, "rtnetlink: %s", strerror(-r));
        else
                r = ask_inside(q, nl, ret_link, &error);
        left = network_namespace_leave(&q->namespace, &back);
        if (r < 0 || left < 0) {
                log_error("%s", r < 0 ? error.text : back.text);
                return r < 0 ? r : left;
        }
        return 0;
}

/* From there on this host forwards it, in by the other end of the link that it left by. */
static int take_first_hop(struct question *q)
{
        struct link inner = {}, outer = {};
        int r = look_inside(q, &inner);

        if (r < 0)
                return r;
        q->inside = true;
        if (q->first.result < 0 || q->first.type == RTN_LOCAL)
                return 0;
        if (q->flow.source.family == 0)
                q->flow.source = q->first.source;
        if (q->flow.source.family == 0) {
                log_error("the kernel names no source address in there: give it with --from");
                return -EADDRNOTAVAIL;
        }
        q->flow.forwarded = true;
        q->flow.mark = 0; /* a mark does not leave the namespace */
        /* An index says nothing without its namespace: each must name the other. */
        if (inner.peer != 0 && link_read_index(q->nl, inner.peer, &outer, NULL) >= 0 &&
                outer.peer == inner.ifindex)
                q->iif = outer.ifindex;
        return 0;
}

static int look_at_namespace(struct question *q)
{
        struct error error = {};
        int r;

        if (!q->netns && !q->pid)
                return 0;
        if (q->netns && q->pid) {
                log_error("--netns and --pid are two ways to say the same");
                return -EINVAL;
        }
        r = network_namespace_open(q->netns, q->pid, &q->namespace, &error);
        if (r < 0) {
                log_error("%s", error.text);
                return r;
        }
        /* A pod of the host's network sends as the host does. */
        return network_namespace_is_ours(&q->namespace) ? 0 : take_first_hop(q);
}

int question_read(struct question *q)
{
        struct error error = {};
        int r;

        if (config_load(&q->options, &q->settings, &error) < 0) {
                log_error("%s", error.text);
                return -EBADMSG;
        }
        r = read_snapshot(q);
        if (r >= 0)
                r = read_kernel(q);
        if (r < 0)
                return r == -EINVAL || r == -EBADMSG ? -EIO : r;
        r = build_flow(q);
        if (r >= 0)
                r = look_at_namespace(q);
        if (r < 0 || (q->inside && !q->flow.forwarded))
                return r;
        r = find_way_in(q);
        return r == -EINVAL ? -EIO : r;
}

struct policy_input question_input(const struct question *q)
{
        return (struct policy_input){
                .settings = q->settings,
                .cluster = q->snapshot.cluster,
                .node_name =
                        q->settings->node_name ? q->settings->node_name : q->snapshot.node_name,
                .device = &q->device,
                .endpoint = &q->snapshot.endpoint,
        };
}
