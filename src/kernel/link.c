#include "kernel/link.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "basics/array.h"
#include "kernel/attribute.h"
#include "kernel/netlink.h"

#define SKIP_STATISTICS (1u << 3) /* RTEXT_FILTER_SKIP_STATS */

bool link_encrypts(const struct link *link)
{
        return strcmp(link->kind, "wireguard") == 0 || strcmp(link->kind, "tun") == 0;
}

static int copy_text(const struct nlattr *attribute, char *buffer, size_t size)
{
        const char *text = attribute_get_text(attribute);

        if (!text)
                return -EBADMSG;
        snprintf(buffer, size, "%s", text);
        return 0;
}

static int decode_kind(const struct nlattr *nest, struct link *link)
{
        const struct nlattr *attribute;

        mnl_attr_for_each_nested(attribute, nest)
        {
                if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND)
                        return copy_text(attribute, link->kind, sizeof(link->kind));
        }
        return 0;
}

static int decode_link_attribute(const struct nlattr *attribute, struct link *link)
{
        switch (mnl_attr_get_type(attribute)) {
        case IFLA_IFNAME: return copy_text(attribute, link->name, sizeof(link->name));
        case IFLA_IFALIAS: return copy_text(attribute, link->alias, sizeof(link->alias));
        case IFLA_LINK: return attribute_get_u32(attribute, &link->peer);
        case IFLA_MTU: return attribute_get_u32(attribute, &link->mtu);
        case IFLA_LINKINFO: return decode_kind(attribute, link);
        default: return 0;
        }
}

int link_decode(const struct nlmsghdr *message, struct link *ret)
{
        const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
        const struct nlattr *attribute;
        struct link link = {};
        int r;

        if (mnl_nlmsg_get_payload_len(message) < sizeof(*header) || header->ifi_index <= 0)
                return -EBADMSG;
        link.ifindex = (uint32_t)header->ifi_index;
        link.up = header->ifi_flags & IFF_UP;
        mnl_attr_for_each(attribute, message, sizeof(*header))
        {
                r = decode_link_attribute(attribute, &link);
                if (r < 0)
                        return r;
        }
        *ret = link;
        return 0;
}

static int read_link(const struct nlmsghdr *message, void *userdata)
{
        return message->nlmsg_type == RTM_NEWLINK ? link_decode(message, userdata) : 0;
}

int link_read_index(struct netlink *nl, uint32_t ifindex, struct link *ret, struct error *error)
{
        char buffer[NETLINK_MESSAGE_MAX] __attribute__((aligned(4)));
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        struct ifinfomsg *header;
        struct link link = {};
        int r;

        message->nlmsg_type = RTM_GETLINK;
        header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
        header->ifi_index = (int)ifindex;
        mnl_attr_put_u32(message, IFLA_EXT_MASK, SKIP_STATISTICS);
        r = netlink_request(nl, message, read_link, &link, error);
        if (r < 0)
                return r;
        if (link.ifindex != ifindex)
                return error_set(error, -ENODEV, "no link %u", ifindex);
        *ret = link;
        return 0;
}

int link_read(struct netlink *nl, const char *name, struct link *ret, struct error *error)
{
        char buffer[NETLINK_MESSAGE_MAX] __attribute__((aligned(4)));
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        struct link link = {};
        int r;

        if (strlen(name) >= IF_NAMESIZE)
                return error_set(error, -ENODEV, "\"%s\" is too long for a link's name", name);
        message->nlmsg_type = RTM_GETLINK;
        mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
        mnl_attr_put_strz(message, IFLA_IFNAME, name);
        mnl_attr_put_u32(message, IFLA_EXT_MASK, SKIP_STATISTICS);
        r = netlink_request(nl, message, read_link, &link, error);
        if (r < 0)
                return r;
        /* The kernel finds alternative names as well: those are not what routes are seen by. */
        if (link.ifindex == 0 || strcmp(link.name, name) != 0)
                return error_set(error, -ENODEV, "no link \"%s\"", name);
        *ret = link;
        return 0;
}

struct address_list {
        struct address *items;
        size_t n;
        size_t allocated;
};

/* The local address of a message; family 0: one that nothing can be sent from. */
static int decode_address(const struct nlmsghdr *message, struct address *ret)
{
        const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
        struct address local = {}, peer = {};
        const struct nlattr *attribute;
        uint32_t flags;
        int r = 0;

        if (mnl_nlmsg_get_payload_len(message) < sizeof(*header))
                return -EBADMSG;
        *ret = (struct address){};
        if (!address_size(header->ifa_family))
                return 0;
        flags = header->ifa_flags;
        mnl_attr_for_each(attribute, message, sizeof(*header))
        {
                if (mnl_attr_get_type(attribute) == IFA_LOCAL)
                        r = attribute_get_address(attribute, header->ifa_family, &local);
                else if (mnl_attr_get_type(attribute) == IFA_ADDRESS)
                        r = attribute_get_address(attribute, header->ifa_family, &peer);
                else if (mnl_attr_get_type(attribute) == IFA_FLAGS)
                        r = attribute_get_u32(attribute, &flags);
                if (r < 0)
                        return r;
        }
        if (flags & IFA_F_DADFAILED || (flags & IFA_F_TENTATIVE && !(flags & IFA_F_OPTIMISTIC)))
                return 0;
        /* On a point-to-point link IFA_ADDRESS is the other end's. */
        *ret = local.family ? local : peer;
        return 0;
}

static int read_address(const struct nlmsghdr *message, void *userdata)
{
        struct address_list *list = userdata;
        struct address address;
        int r;

        if (!message) {
                list->n = 0;
                return 0;
        }
        if (message->nlmsg_type != RTM_NEWADDR)
                return 0;
        r = decode_address(message, &address);
        if (r < 0 || !address.family)
                return r;
        if (!ARRAY_RESERVE(list->items, list->allocated, list->n + 1))
                return -ENOMEM;
        list->items[list->n++] = address;
        return 0;
}

static size_t sort_unique(struct address *addresses, size_t n)
{
        size_t kept = 0;

        if (n > 0)
                qsort(addresses, n, sizeof(*addresses), address_compare_void);
        for (size_t i = 0; i < n; i++)
                if (kept == 0 || !address_equal(&addresses[kept - 1], &addresses[i]))
                        addresses[kept++] = addresses[i];
        return kept;
}

int addresses_read(struct netlink *nl, struct address **ret, size_t *ret_n, struct error *error)
{
        char buffer[NETLINK_MESSAGE_MAX] __attribute__((aligned(4)));
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        struct address_list list = {};
        int r;

        message->nlmsg_type = RTM_GETADDR;
        mnl_nlmsg_put_extra_header(message, sizeof(struct ifaddrmsg)); /* family 0: both */
        r = netlink_dump(nl, message, read_address, &list, error);
        if (r < 0) {
                free(list.items);
                return r;
        }
        *ret_n = sort_unique(list.items, list.n);
        *ret = list.items;
        return 0;
}

struct address_search {
        const struct address *address;
        uint32_t ifindex;
};

static int match_address(const struct nlmsghdr *message, void *userdata)
{
        const struct ifaddrmsg *header;
        struct address_search *search = userdata;
        struct address address;
        int r;

        if (!message) {
                search->ifindex = 0;
                return 0;
        }
        if (message->nlmsg_type != RTM_NEWADDR)
                return 0;
        r = decode_address(message, &address);
        if (r < 0)
                return r;
        header = mnl_nlmsg_get_payload(message);
        if (address_equal(&address, search->address) && search->ifindex <= LOOPBACK_IFINDEX)
                search->ifindex = header->ifa_index;
        return 0;
}

int address_link_read(struct netlink *nl, const struct address *address, uint32_t *ret_ifindex,
        struct error *error)
{
        char buffer[NETLINK_MESSAGE_MAX] __attribute__((aligned(4)));
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        struct address_search search = {.address = address};
        struct ifaddrmsg *header;
        int r;

        message->nlmsg_type = RTM_GETADDR;
        header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
        header->ifa_family = address->family;
        r = netlink_dump(nl, message, match_address, &search, error);
        if (r < 0)
                return r;
        *ret_ifindex = search.ifindex;
        return 0;
}
