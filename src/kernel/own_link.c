#include "kernel/own_link.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/netlink.h"

static bool is_of_kind(const struct own_link *own, const struct link *link)
{
        for (const char *const *kind = own->kinds; *kind; kind++)
                if (strcmp(link->kind, *kind) == 0)
                        return true;
        return false;
}

static bool is_ours(const struct own_link *own, const struct link *link)
{
        return is_of_kind(own, link) && strcmp(link->alias, OWN_LINK_ALIAS) == 0;
}

/* One that we made, but were stopped before it was named ours: it was never up. */
static bool is_half_made(const struct own_link *own, const struct link *link)
{
        return is_of_kind(own, link) && link->alias[0] == '\0' && !link->up;
}

static struct nlmsghdr *put_header(void *buffer, uint16_t type, uint32_t ifindex)
{
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        struct ifinfomsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));

        message->nlmsg_type = type;
        header->ifi_index = (int)ifindex;
        return message;
}

static int create_kind(struct netlink *nl, const char *name, const char *kind, struct error *error)
{
        char buffer[NETLINK_MESSAGE_MAX] __attribute__((aligned(4)));
        struct nlmsghdr *message = put_header(buffer, RTM_NEWLINK, 0);
        struct nlattr *nest;

        message->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
        mnl_attr_put_strz(message, IFLA_IFNAME, name);
        nest = mnl_attr_nest_start(message, IFLA_LINKINFO);
        mnl_attr_put_strz(message, IFLA_INFO_KIND, kind);
        mnl_attr_nest_end(message, nest);
        return netlink_request(nl, message, NULL, NULL, error);
}

/* Of the first kind there is; the kernel loads the module for it. */
static int create(struct netlink *nl, const struct own_link *own, struct error *error)
{
        struct error failure = {};
        int r = -EOPNOTSUPP;

        for (const char *const *kind = own->kinds; *kind && r == -EOPNOTSUPP; kind++) {
                failure = (struct error){};
                r = create_kind(nl, own->name, *kind, &failure);
        }
        return r < 0 ? error_set(error, r, "%s", failure.text) : 0;
}

static void put_no_ipv6_address(struct nlmsghdr *message)
{
        struct nlattr *families = mnl_attr_nest_start(message, IFLA_AF_SPEC);
        struct nlattr *inet6 = mnl_attr_nest_start(message, AF_INET6);

        mnl_attr_put_u8(message, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
        mnl_attr_nest_end(message, inet6);
        mnl_attr_nest_end(message, families);
}

/*
 * Before it is up, in a message of its own: the kernel looks at the flags first. One that has no
 * IPv6, or does not know the mode, has no address to give either, or only a link-local one.
 */
static void silence(struct netlink *nl, uint32_t ifindex)
{
        char buffer[NETLINK_MESSAGE_MAX] __attribute__((aligned(4)));
        struct nlmsghdr *message = put_header(buffer, RTM_SETLINK, ifindex);
        struct ifinfomsg *header;

        put_no_ipv6_address(message);
        (void)netlink_request(nl, message, NULL, NULL, NULL);
        message = put_header(buffer, RTM_SETLINK, ifindex);
        header = mnl_nlmsg_get_payload(message);
        header->ifi_flags = header->ifi_change = IFF_NOARP;
        (void)netlink_request(nl, message, NULL, NULL, NULL);
}

/* The alias and "up": the kernel does not take an alias when it creates a link. */
static int set_up(struct netlink *nl, uint32_t ifindex, struct error *error)
{
        char buffer[NETLINK_MESSAGE_MAX] __attribute__((aligned(4)));
        struct nlmsghdr *message = put_header(buffer, RTM_SETLINK, ifindex);
        struct ifinfomsg *header = mnl_nlmsg_get_payload(message);

        header->ifi_flags = header->ifi_change = IFF_UP;
        mnl_attr_put_strz(message, IFLA_IFALIAS, OWN_LINK_ALIAS);
        return netlink_request(nl, message, NULL, NULL, error);
}

/* Reads the link, which is made first where there is none. */
static int read_or_create(
        struct netlink *nl, const struct own_link *own, struct link *ret, struct error *error)
{
        struct error failure = {};
        int r;

        r = link_read(nl, own->name, ret, &failure);
        if (r == -ENODEV) {
                r = create(nl, own, error);
                if (r < 0)
                        return r;
                return link_read(nl, own->name, ret, error);
        }
        return r < 0 ? error_set(error, r, "%s", failure.text) : 0;
}

static int ensure(
        struct netlink *nl, const struct own_link *own, struct link *ret, struct error *error)
{
        struct link link;
        int r;

        r = read_or_create(nl, own, &link, error);
        if (r < 0)
                return r;
        if (!is_ours(own, &link) && !is_half_made(own, &link))
                return error_set(error, -EEXIST, "a link of that name exists and is not ours");
        if (is_ours(own, &link) && link.up) {
                *ret = link;
                return 0;
        }
        if (own->silent)
                silence(nl, link.ifindex);
        r = set_up(nl, link.ifindex, error);
        if (r < 0)
                return r;
        link.up = true;
        *ret = link;
        return 1;
}

int own_link_ensure(
        struct netlink *nl, const struct own_link *own, struct link *ret, struct error *error)
{
        int r = ensure(nl, own, ret, error);

        if (r < 0)
                error_prefix(error, "link %s", own->name);
        return r;
}

int own_link_read(
        struct netlink *nl, const struct own_link *own, struct link *ret, struct error *error)
{
        struct error failure = {};
        struct link link;
        int r;

        r = link_read(nl, own->name, &link, &failure);
        if (r == -ENODEV || (r >= 0 && !is_ours(own, &link)))
                return 0;
        if (r < 0)
                return error_set(error, r, "link %s: %s", own->name, failure.text);
        *ret = link;
        return 1;
}

int own_link_remove(struct netlink *nl, const struct own_link *own, struct error *error)
{
        char buffer[NETLINK_MESSAGE_MAX] __attribute__((aligned(4)));
        struct link link;
        int r;

        r = own_link_read(nl, own, &link, error);
        if (r <= 0)
                return r;
        r = netlink_request(nl, put_header(buffer, RTM_DELLINK, link.ifindex), NULL, NULL, error);
        if (r < 0)
                return error_prefix(error, "link %s", own->name);
        return 1;
}
