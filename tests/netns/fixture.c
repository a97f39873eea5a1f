#include "fixture.h"

#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basics/array.h"
#include "basics/text.h"
#include "kernel/fib_read.h"
#include "policy/format.h"
#include "test.h"

/* Of the tun devices: as long as one is open, the device has a carrier. */
static int tun_fds[4];
static size_t n_tun_fds;

const struct layout test_layout = {.table_base = 51870, .priority_base = 200};

bool fixture_enter(void)
{
        while (n_tun_fds > 0)
                close(tun_fds[--n_tun_fds]);
        if (unshare(CLONE_NEWNET) < 0)
                return false;
        return system("ip link set lo up") == 0;
}

bool fixture_possible(void)
{
        if (fixture_enter())
                return true;
        printf("1..0 # SKIP needs root and network namespaces\n");
        return false;
}

struct netlink *fixture_netlink(int protocol)
{
        struct netlink *nl = NULL;

        CHECK_INT(netlink_new(protocol, &nl), 0);
        return nl;
}

uint32_t fixture_tun(const char *name)
{
        struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
        int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

        CHECK(fd >= 0);
        snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
        CHECK(ioctl(fd, TUNSETIFF, &request) >= 0);
        CHECK(ioctl(fd, TUNSETPERSIST, 1) >= 0);
        CHECK(n_tun_fds < ARRAY_SIZE(tun_fds));
        tun_fds[n_tun_fds++] = fd;
        run("ip link set %s up", name);
        return if_nametoindex(name);
}

void fixture_wait_for_ipv6(const char *address)
{
        run("for i in $(seq 500); do ip -6 route show table local | grep -q '^local %s ' && exit "
            "0; "
            "sleep 0.01; done; exit 1",
                address);
}

uint32_t fixture_device(void)
{
        uint32_t ifindex = fixture_tun(DEVICE);

        run("ip address add 10.0.0.1/24 dev " DEVICE);
        run("ip address add fd00::1/64 dev " DEVICE " nodad"); /* usable at once */
        fixture_wait_for_ipv6("fd00::1");
        return ifindex;
}

void run(const char *format, ...)
{
        va_list arguments;
        char command[1024];

        va_start(arguments, format);
        vsnprintf(command, sizeof(command), format, arguments);
        va_end(arguments);
        if (system(command) == 0)
                return;
        printf("# failed: %s\n", command);
        CHECK(!"a command failed");
}

char *output(const char *format, ...)
{
        struct text_builder builder = {};
        va_list arguments;
        char command[1024], line[1024];
        FILE *pipe;

        va_start(arguments, format);
        vsnprintf(command, sizeof(command), format, arguments);
        va_end(arguments);
        pipe = popen(command, "re");
        CHECK(pipe);
        text_append(&builder, "%s", "");
        while (fgets(line, sizeof(line), pipe))
                text_append(&builder, "%s", line);
        CHECK_INT(pclose(pipe), 0);
        return builder.text;
}

struct prefix prefix(const char *text)
{
        struct prefix parsed;

        CHECK(prefix_parse(text, &parsed) >= 0);
        return parsed;
}

struct address address(const char *text)
{
        struct address parsed;

        CHECK(address_parse(text, &parsed) >= 0);
        return parsed;
}

struct rule lookup_rule(uint8_t family, uint32_t offset, uint32_t table)
{
        return (struct rule){
                .family = family,
                .action = FR_ACT_TO_TBL,
                .protocol = RTPROT_KERNEL,
                .priority = test_layout.priority_base + offset,
                .table = table,
        };
}

struct route twin(const char *destination, uint32_t table)
{
        struct prefix to = prefix(destination);

        return (struct route){
                .family = to.address.family,
                .type = RTN_UNREACHABLE,
                .protocol = RTPROT_KERNEL,
                .table = table,
                .destination = to,
                .metric = TWIN_METRIC,
        };
}

struct route device_route(const char *destination, uint32_t table, uint32_t oif)
{
        struct route route = twin(destination, table);

        route.type = RTN_UNICAST;
        route.scope = route.family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
        route.metric = ROUTE_METRIC(route.family);
        route.oif = oif;
        route.source = address(route.family == AF_INET ? "10.0.0.1" : "fd00::1");
        return route;
}

static struct step *add_step(struct steps *steps, enum step_kind kind, uint8_t phase)
{
        struct step *step;

        CHECK(ARRAY_RESERVE(steps->items, steps->allocated, steps->n + 1));
        step = &steps->items[steps->n++];
        *step = (struct step){.kind = kind, .phase = phase};
        return step;
}

void add_rule_step(struct steps *steps, enum step_kind kind, uint8_t phase, const struct rule *rule)
{
        add_step(steps, kind, phase)->rule = *rule;
}

void add_route_step(
        struct steps *steps, enum step_kind kind, uint8_t phase, const struct route *route)
{
        add_step(steps, kind, phase)->route = *route;
}

void steps_free(struct steps *steps)
{
        free(steps->items);
        *steps = (struct steps){};
}

void add_fib_steps(struct steps *steps, const struct fib *fib)
{
        for (size_t i = 0; i < fib->n_routes; i++)
                add_route_step(steps, STEP_REPLACE_ROUTE, 0, &fib->routes[i]);
        for (size_t i = 0; i < fib->n_rules; i++)
                add_rule_step(steps, STEP_ADD_RULE, 1, &fib->rules[i]);
}

void read_fib(struct netlink *nl, struct fib *ret)
{
        struct error error = {};

        fib_deinit(ret);
        if (kernel_fib_read(nl, &test_layout, 1, ret, &error) < 0)
                printf("# %s\n", error.text);
        CHECK_INT(error.code, 0);
}

static void say(const char *what, const struct rule *rule, const struct route *route)
{
        _cleanup_(text_deinit) struct text_builder builder = {};

        if (rule)
                rule_format(rule, &builder);
        else
                route_format(route, NULL, &builder);
        printf("# %s: %s\n", what, builder.text);
}

bool fib_equal(const struct fib *a, const struct fib *b)
{
        if (a->n_rules != b->n_rules || a->n_routes != b->n_routes)
                printf("# %zu rules and %zu routes, not %zu and %zu\n", a->n_rules, a->n_routes,
                        b->n_rules, b->n_routes);
        for (size_t i = 0; i < a->n_rules && i < b->n_rules; i++)
                if (rule_compare(&a->rules[i], &b->rules[i]) != 0) {
                        say("is", &a->rules[i], NULL);
                        say("should be", &b->rules[i], NULL);
                        return false;
                }
        for (size_t i = 0; i < a->n_routes && i < b->n_routes; i++)
                if (route_compare(&a->routes[i], &b->routes[i]) != 0) {
                        say("is", NULL, &a->routes[i]);
                        say("should be", NULL, &b->routes[i]);
                        return false;
                }
        return a->n_rules == b->n_rules && a->n_routes == b->n_routes;
}
