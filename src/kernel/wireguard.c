#include "kernel/wireguard.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "kernel/attribute.h"
#include "kernel/netlink.h"

/* Behind everything that somebody waits for. */
#define PRIORITY_READ 50

struct wireguard_reader {
        struct netlink *nl;
        sd_event_source *source;
        struct wireguard_decoder decoder;
        wireguard_done done;
};

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
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        struct genlmsghdr *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
        uint16_t id = 0;
        int r;

        message->nlmsg_type = GENL_ID_CTRL;
        header->cmd = CTRL_CMD_GETFAMILY;
        header->version = 1;
        mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, WG_GENL_NAME);
        r = netlink_request(nl, message, read_family, &id, error);
        if (r < 0) {
                error_prefix(error, "WireGuard's netlink family");
                return r;
        }
        if (id < NLMSG_MIN_TYPE)
                return error_set(error, -EBADMSG, "the kernel names no family");
        *ret = id;
        return 0;
}

static int on_message(const struct nlmsghdr *message, void *userdata)
{
        return wireguard_decode(userdata, message);
}

/* A socket on which the dump of the device has begun. */
static int open_dump(uint32_t ifindex, struct wireguard_decoder *decoder, struct netlink **ret,
        struct error *error)
{
        char buffer[NETLINK_MESSAGE_MAX] __attribute__((aligned(4)));
        _cleanup_(netlink_freep) struct netlink *nl = NULL;
        uint16_t family = 0;
        int r;

        r = netlink_new(NETLINK_GENERIC, &nl);
        if (r < 0)
                return error_set(error, r, "generic netlink: %s", strerror(-r));
        r = resolve_family(nl, &family, error);
        if (r < 0)
                return r;
        r = netlink_dump_begin(
                nl, wireguard_encode_dump(buffer, family, ifindex), on_message, decoder, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(nl);
        return 0;
}

struct mark {
        uint32_t value;
        bool known;
};

static int take_mark(uint32_t value, void *userdata)
{
        struct mark *mark = userdata;

        *mark = (struct mark){value, true};
        return 0;
}

int wireguard_read(uint32_t ifindex, struct wireguard *ret, struct error *error)
{
        struct mark mark = {};
        struct wireguard_decoder decoder = {.sink = {.mark = take_mark, .userdata = &mark}};
        _cleanup_(netlink_freep) struct netlink *nl = NULL;
        int r;

        r = open_dump(ifindex, &decoder, &nl, error);
        /* The first message lies there already: the kernel writes it before send returns. It has
         * the device's own attributes, the others only more peers. */
        if (r >= 0)
                r = netlink_dump_step(nl, error);
        if (r < 0)
                return r;
        if (!mark.known)
                return error_set(error, -ENODATA, "the device tells no mark");
        *ret = (struct wireguard){.fwmark = mark.value};
        return 0;
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        struct wireguard_reader *reader = userdata;
        struct error error = {};
        int r = netlink_dump_step(reader->nl, &error);

        if (r == 0)
                return 0;
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        reader->done(r < 0 ? r : 0, &error, reader->decoder.sink.userdata);
        return 0;
}

int wireguard_reader_new(sd_event *event, uint32_t ifindex, const struct wireguard_sink *sink,
        wireguard_done done, struct wireguard_reader **ret, struct error *error)
{
        _cleanup_(wireguard_reader_freep) struct wireguard_reader *reader = NULL;
        int r;

        reader = calloc(1, sizeof(*reader));
        if (!reader)
                return error_set(error, -ENOMEM, "out of memory");
        reader->decoder.sink = *sink;
        reader->done = done;
        r = open_dump(ifindex, &reader->decoder, &reader->nl, error);
        if (r < 0)
                return r;
        r = sd_event_add_io(
                event, &reader->source, netlink_fd(reader->nl), EPOLLIN, on_readable, reader);
        if (r >= 0)
                r = sd_event_source_set_priority(reader->source, PRIORITY_READ);
        if (r < 0)
                return error_set(error, r, "event loop: %s", strerror(-r));
        *ret = TAKE_PTR(reader);
        return 0;
}

struct wireguard_reader *wireguard_reader_free(struct wireguard_reader *reader)
{
        if (!reader)
                return NULL;
        sd_event_source_disable_unref(reader->source);
        netlink_free(reader->nl);
        free(reader);
        return NULL;
}
