#include "kernel/wireguard.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>

#include "kernel/attribute.h"
#include "kernel/netlink.h"

static struct nlmsghdr *put_header(void *buffer, uint16_t type, uint8_t command, uint8_t version)
{
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        struct genlmsghdr *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));

        message->nlmsg_type = type;
        header->cmd = command;
        header->version = version;
        return message;
}

static int read_family(const struct nlmsghdr *message, void *userdata)
{
        const struct nlattr *attribute;
        uint16_t *id = userdata;

        if (mnl_nlmsg_get_payload_len(message) < sizeof(struct genlmsghdr))
                return -EBADMSG;
        mnl_attr_for_each(attribute, message, sizeof(struct genlmsghdr))
        {
                if (mnl_attr_get_type(attribute) == CTRL_ATTR_FAMILY_ID)
                        return attribute_get_u16(attribute, id);
        }
        return 0;
}

/* The number of the family; it is another one each time that the module is loaded. */
static int resolve_family(struct netlink *nl, uint16_t *ret, struct error *error)
{
        char buffer[NETLINK_MESSAGE_MAX] __attribute__((aligned(4)));
        struct nlmsghdr *message = put_header(buffer, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
        uint16_t id = 0;
        int r;

        mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, WG_GENL_NAME);
        r = netlink_request(nl, message, read_family, &id, error);
        if (r < 0)
                return r;
        if (id < NLMSG_MIN_TYPE)
                return error_set(error, -EBADMSG, "the kernel names no family");
        *ret = id;
        return 0;
}

static int read_device(const struct nlmsghdr *message, void *userdata)
{
        struct wireguard *wireguard = userdata;
        const struct nlattr *attribute;
        int r;

        if (!message) {
                *wireguard = (struct wireguard){};
                return 0;
        }
        if (mnl_nlmsg_get_payload_len(message) < sizeof(struct genlmsghdr))
                return -EBADMSG;
        /* Only the first of several messages has the device's own attributes; all have peers. */
        mnl_attr_for_each(attribute, message, sizeof(struct genlmsghdr))
        {
                if (mnl_attr_get_type(attribute) != WGDEVICE_A_FWMARK)
                        continue;
                r = attribute_get_u32(attribute, &wireguard->fwmark);
                if (r < 0)
                        return r;
        }
        return 0;
}

int wireguard_read(struct netlink *nl, uint32_t ifindex, struct wireguard *ret, struct error *error)
{
        char buffer[NETLINK_MESSAGE_MAX] __attribute__((aligned(4)));
        struct wireguard wireguard;
        struct nlmsghdr *message;
        uint16_t family = 0;
        int r;

        r = resolve_family(nl, &family, error);
        if (r < 0) {
                error_prefix(error, "WireGuard's netlink family");
                return r;
        }
        message = put_header(buffer, family, WG_CMD_GET_DEVICE, WG_GENL_VERSION);
        mnl_attr_put_u32(message, WGDEVICE_A_IFINDEX, ifindex);
        r = netlink_dump(nl, message, read_device, &wireguard, error);
        if (r < 0)
                return r;
        *ret = wireguard;
        return 0;
}
