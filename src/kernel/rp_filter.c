#include "kernel/rp_filter.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "basics/array.h"
#include "kernel/attribute.h"
#include "kernel/link.h"
#include "kernel/netlink.h"

enum { STRICT = 1, LOOSE = 2 };

/* One link's own value. */
struct value {
        uint32_t ifindex;
        uint32_t number;
};

struct reading {
        struct value *values;
        size_t n;
        size_t allocated;
        uint32_t all;
};

/* The index is signed: NETCONFA_IFINDEX_ALL and _DEFAULT are negative. False: it tells none. */
static bool decode(const struct nlmsghdr *message, int32_t *ret_ifindex, uint32_t *ret_number)
{
        const struct netconfmsg *header = mnl_nlmsg_get_payload(message);
        const struct nlattr *attribute;
        bool has_index = false, has_number = false;
        uint32_t ifindex = 0;

        if (message->nlmsg_type != RTM_NEWNETCONF ||
                mnl_nlmsg_get_payload_len(message) < sizeof(*header) ||
                header->ncm_family != AF_INET)
                return false;
        mnl_attr_for_each(attribute, message, sizeof(*header))
        {
                switch (mnl_attr_get_type(attribute)) {
                case NETCONFA_IFINDEX:
                        has_index = attribute_get_u32(attribute, &ifindex) >= 0;
                        break;
                case NETCONFA_RP_FILTER:
                        has_number = attribute_get_u32(attribute, ret_number) >= 0;
                        break;
                default: break;
                }
        }
        *ret_ifindex = (int32_t)ifindex;
        return has_index && has_number;
}

static int read_value(const struct nlmsghdr *message, void *userdata)
{
        struct reading *reading = userdata;
        int32_t ifindex = 0;
        uint32_t number = 0;

        if (!message) {
                reading->n = 0;
                reading->all = 0;
                return 0;
        }
        if (!decode(message, &ifindex, &number))
                return 0;
        if (ifindex == NETCONFA_IFINDEX_ALL)
                reading->all = number;
        if (ifindex <= (int32_t)LOOPBACK_IFINDEX)
                return 0;
        if (!ARRAY_RESERVE(reading->values, reading->allocated, reading->n + 1))
                return -ENOMEM;
        reading->values[reading->n++] = (struct value){(uint32_t)ifindex, number};
        return 0;
}

static bool is_excepted(const uint32_t *except, size_t n, uint32_t ifindex)
{
        for (size_t i = 0; i < n; i++)
                if (except[i] == ifindex)
                        return true;
        return false;
}

static int compare_indexes(const void *a, const void *b)
{
        const uint32_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

static int judge(
        const struct reading *reading, const uint32_t *except, size_t n, struct rp_filter *filter)
{
        for (size_t i = 0; i < reading->n; i++) {
                const struct value *value = &reading->values[i];
                uint32_t effective = value->number > reading->all ? value->number : reading->all;

                if (effective == 0 || is_excepted(except, n, value->ifindex))
                        continue;
                if (effective >= LOOSE) {
                        filter->loose = true;
                        continue;
                }
                if (!ARRAY_RESERVE(filter->strict, filter->allocated, filter->n_strict + 1))
                        return -ENOMEM;
                filter->strict[filter->n_strict++] = value->ifindex;
        }
        if (filter->n_strict > 0)
                qsort(filter->strict, filter->n_strict, sizeof(*filter->strict), compare_indexes);
        return 0;
}

int rp_filter_read(struct netlink *nl, const uint32_t *except, size_t n, struct rp_filter *ret,
        struct error *error)
{
        char buffer[NETLINK_MESSAGE_MAX] __attribute__((aligned(4)));
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        struct netconfmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
        struct rp_filter filter = {};
        struct reading reading = {};
        int r;

        message->nlmsg_type = RTM_GETNETCONF;
        header->ncm_family = AF_INET;
        r = netlink_dump(nl, message, read_value, &reading, error);
        if (r >= 0 && judge(&reading, except, n, &filter) < 0)
                r = error_set(error, -ENOMEM, "out of memory");
        free(reading.values);
        if (r < 0) {
                rp_filter_deinit(&filter);
                return r;
        }
        *ret = filter;
        return 0;
}

void rp_filter_deinit(struct rp_filter *filter)
{
        free(filter->strict);
        *filter = (struct rp_filter){};
}

bool rp_filter_equal(const struct rp_filter *a, const struct rp_filter *b)
{
        if (a->loose != b->loose || a->n_strict != b->n_strict)
                return false;
        return a->n_strict == 0 ||
               memcmp(a->strict, b->strict, a->n_strict * sizeof(*a->strict)) == 0;
}

bool rp_filter_announced(const struct nlmsghdr *message)
{
        uint32_t number;
        int32_t ifindex;

        return decode(message, &ifindex, &number);
}
