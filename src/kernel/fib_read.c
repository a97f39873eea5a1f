#include "kernel/fib_read.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/netlink.h"
#include "kernel/route_codec.h"
#include "kernel/rule_codec.h"

static const uint8_t families[] = {AF_INET, AF_INET6};

struct reading {
        const struct layout *layouts; /* NULL: every priority */
        size_t n_layouts;
        uint8_t family;
        uint32_t table;
        size_t start; /* what *fib held before: an interrupted dump goes back to it */
        struct fib *fib;
};

static bool wants_priority(const struct reading *reading, uint32_t priority)
{
        for (size_t i = 0; i < reading->n_layouts; i++)
                if (layout_has_priority(&reading->layouts[i], priority))
                        return true;
        return !reading->layouts;
}

static int read_rule(const struct nlmsghdr *message, void *userdata)
{
        struct reading *reading = userdata;
        struct rule rule;
        int r;

        if (!message) {
                reading->fib->n_rules = reading->start;
                return 0;
        }
        if (message->nlmsg_type != RTM_NEWRULE)
                return 0;
        r = rule_decode(message, &rule);
        if (r == -EAFNOSUPPORT)
                return 0;
        if (r < 0)
                return r;
        if (rule.family != reading->family || !wants_priority(reading, rule.priority))
                return 0;
        return fib_add_rule(reading->fib, &rule);
}

static int read_route(const struct nlmsghdr *message, void *userdata)
{
        struct reading *reading = userdata;
        struct route route;
        int r;

        if (!message) {
                reading->fib->n_routes = reading->start;
                return 0;
        }
        if (message->nlmsg_type != RTM_NEWROUTE)
                return 0;
        r = route_decode(message, &route);
        if (r == -EAFNOSUPPORT)
                return 0;
        if (r < 0)
                return r;
        /* A kernel without strict checking sends every table. */
        if (route.family != reading->family || route.table != reading->table)
                return 0;
        return fib_add_route(reading->fib, &route);
}

/* No such table yet, or a kernel without the family: there is nothing to read. */
static bool means_empty(int code)
{
        return code == -ENOENT || code == -EAFNOSUPPORT || code == -EOPNOTSUPP;
}

static int read_rules(struct netlink *nl, struct reading *reading, struct error *error)
{
        char buffer[NETLINK_MESSAGE_MAX] __attribute__((aligned(4)));
        struct error failure = {};
        int r;

        reading->start = reading->fib->n_rules;
        r = netlink_dump(
                nl, rule_encode_dump(buffer, reading->family), read_rule, reading, &failure);
        if (r < 0 && !means_empty(r))
                return error_set(error, r, "cannot read the rules: %s", failure.text);
        return 0;
}

static int read_table(struct netlink *nl, struct reading *reading, struct error *error)
{
        char buffer[NETLINK_MESSAGE_MAX] __attribute__((aligned(4)));
        struct error failure = {};
        int r;

        reading->start = reading->fib->n_routes;
        r = netlink_dump(nl, route_encode_dump(buffer, reading->family, reading->table), read_route,
                reading, &failure);
        if (r < 0 && !means_empty(r))
                return error_set(
                        error, r, "cannot read table %u: %s", reading->table, failure.text);
        return 0;
}

static int ignore(const struct nlmsghdr *message, void *userdata)
{
        return 0;
}

bool kernel_has_family(struct netlink *nl, uint8_t family)
{
        char buffer[NETLINK_MESSAGE_MAX] __attribute__((aligned(4)));
        int r = netlink_dump(nl, rule_encode_dump(buffer, family), ignore, NULL, NULL);

        return r != -EAFNOSUPPORT && r != -EOPNOTSUPP;
}

static bool is_read_already(const struct layout *layouts, size_t n, uint32_t table)
{
        for (size_t i = 0; i < n; i++)
                if (layout_has_table(&layouts[i], table))
                        return true;
        return false;
}

static int read_family(struct netlink *nl, struct reading *reading, struct error *error)
{
        int r;

        r = read_rules(nl, reading, error);
        for (size_t i = 0; r >= 0 && i < reading->n_layouts; i++)
                for (unsigned j = 0; r >= 0 && j < LAYOUT_TABLES; j++) {
                        reading->table = layout_table(&reading->layouts[i], j);
                        if (!is_read_already(reading->layouts, i, reading->table))
                                r = read_table(nl, reading, error);
                }
        return r;
}

int kernel_fib_read(struct netlink *nl, const struct layout *layouts, size_t n_layouts,
        struct fib *ret, struct error *error)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < sizeof(families); i++) {
                struct reading reading = {
                        .layouts = layouts,
                        .n_layouts = n_layouts,
                        .family = families[i],
                        .fib = ret,
                };

                r = read_family(nl, &reading, error);
        }
        if (r < 0) {
                fib_deinit(ret);
                return r;
        }
        fib_sort(ret);
        return 0;
}

int kernel_rules_read(struct netlink *nl, uint8_t family, struct fib *ret, struct error *error)
{
        struct reading reading = {.family = family, .fib = ret};

        return read_rules(nl, &reading, error);
}
