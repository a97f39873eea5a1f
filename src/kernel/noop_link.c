#include "kernel/noop_link.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "kernel/netlink.h"
#include "kernel/own_link.h"
#include "kernel/route_codec.h"

static const char *const kinds[] = {"dummy", NULL};
const struct own_link noop_link = {.name = NOOP_LINK_NAME, .kinds = kinds};

static struct route noop_route(const struct prefix *prefix, uint32_t ifindex)
{
        uint8_t family = prefix->address.family;

        return (struct route){
                .family = family,
                .type = RTN_UNICAST,
                .protocol = RTPROT_KERNEL,
                .scope = family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
                .table = RT_TABLE_MAIN,
                .destination = *prefix,
                .metric = ROUTE_METRIC(family),
                .oif = ifindex,
        };
}

struct route_search {
        uint32_t ifindex;
        struct fib found;
};

/* Every route of the main table that is shaped like ours and leaves by the link. */
static int find_route(const struct nlmsghdr *message, void *userdata)
{
        struct route_search *search = userdata;
        struct route route;
        int r;

        if (!message) {
                search->found.n_routes = 0;
                return 0;
        }
        if (message->nlmsg_type != RTM_NEWROUTE)
                return 0;
        r = route_decode(message, &route);
        if (r == -EAFNOSUPPORT)
                return 0;
        if (r < 0)
                return r;
        if (route.foreign || route.table != RT_TABLE_MAIN || route.oif != search->ifindex ||
                route.protocol != RTPROT_KERNEL ||
                address_is_special(&route.destination.address)) /* the kernel's own fe80::/64 */
                return 0;
        return fib_add_route(&search->found, &route);
}

static int find_routes(
        struct netlink *nl, int family, struct route_search *search, struct error *error)
{
        char buffer[NETLINK_MESSAGE_MAX] __attribute__((aligned(4)));
        struct nlmsghdr *message = route_encode_dump(buffer, (uint8_t)family, RT_TABLE_MAIN);
        struct error failure = {};
        int r;

        /* Under strict checking the kernel filters: the main table may be the whole internet's. */
        mnl_attr_put_u32(message, RTA_OIF, search->ifindex);
        r = netlink_dump(nl, message, find_route, search, &failure);
        if (r < 0 && r != -ENOENT && r != -EAFNOSUPPORT && r != -EOPNOTSUPP)
                return error_set(error, r, "%s", failure.text);
        return 0;
}

static int request_route(struct netlink *nl, uint16_t type, uint16_t flags,
        const struct route *route, struct error *error)
{
        char buffer[NETLINK_MESSAGE_MAX] __attribute__((aligned(4)));
        struct nlmsghdr *message = route_encode(buffer, type, route);

        message->nlmsg_flags = flags;
        return netlink_request(nl, message, NULL, NULL, error);
}

/* Deletes what is not the wanted route. 1: the wanted one is there. */
static int clean_routes(struct netlink *nl, const struct route_search *search,
        const struct route *wanted, int *written, struct error *error)
{
        struct error failure = {};
        int r, is_there = 0;

        for (size_t i = 0; i < search->found.n_routes; i++) {
                const struct route *route = &search->found.routes[i];

                if (route_compare(route, wanted) == 0) {
                        is_there = 1;
                        continue;
                }
                r = request_route(nl, RTM_DELROUTE, 0, route, &failure);
                if (r < 0 && r != -ESRCH)
                        return error_set(error, r, "%s", failure.text);
                *written = 1;
        }
        return is_there;
}

static int ensure_route(
        struct netlink *nl, uint32_t ifindex, const struct prefix *prefix, struct error *error)
{
        struct route wanted = noop_route(prefix, ifindex);
        int r = 0, written = 0, is_there = 0;

        for (int i = 0; r >= 0 && i < FAMILY_MAX; i++) {
                struct route_search search = {.ifindex = ifindex};

                r = find_routes(nl, family_from_index((enum family_index)i), &search, error);
                if (r >= 0)
                        r = clean_routes(nl, &search, &wanted, &written, error);
                if (r > 0)
                        is_there = 1;
                fib_deinit(&search.found);
        }
        if (r < 0 || is_there)
                return r < 0 ? r : written;
        /* Not REPLACE: the main table is not ours, and what others have there stays. */
        r = request_route(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &wanted, error);
        return r < 0 ? r : 1;
}

int noop_link_ensure(struct netlink *nl, const struct prefix *prefix, struct error *error)
{
        struct link link;
        int r, written;

        written = own_link_ensure(nl, &noop_link, &link, error);
        if (written < 0)
                return written;
        r = ensure_route(nl, link.ifindex, prefix, error);
        if (r < 0) {
                error_prefix(error, "route of " NOOP_LINK_NAME);
                return r;
        }
        return written || r;
}

int noop_link_remove(struct netlink *nl, struct error *error)
{
        return own_link_remove(nl, &noop_link, error);
}
