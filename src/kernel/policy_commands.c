#include "kernel/policy_commands.h"

#include <sys/socket.h>

#include "kernel/noop_link.h"
#include "kernel/sink_link.h"
#include "policy/compute.h"
#include "policy/diff.h"
#include "policy/format.h"

static void append_step(
        const struct policy_input *input, const struct step *step, struct text_builder *builder)
{
        bool is_rule = step->kind == STEP_ADD_RULE;
        uint8_t family = is_rule ? step->rule.family : step->route.family;

        text_append(builder, "ip -%d %s ", family == AF_INET6 ? 6 : 4,
                is_rule ? "rule add" : "route replace");
        if (is_rule)
                rule_format(&step->rule, builder);
        else
                route_format(&step->route,
                        route_is_sink(&step->route) ? SINK_LINK_NAME : input->settings->interface,
                        builder);
        text_append(builder, "\n");
}

static int append_family(const struct policy_input *input, const struct fib *wanted, int family,
        struct text_builder *builder)
{
        const struct layout layout = policy_layout(input->settings);
        const struct fib nothing = {};
        struct steps steps = {};
        int r = policy_diff(&layout, 1, family, &nothing, wanted, &steps);

        for (size_t i = 0; r >= 0 && i < steps.n; i++)
                append_step(input, &steps.items[i], builder);
        steps_deinit(&steps);
        return r;
}

/* Of the kind that is preferred, where the kernel has it. */
static void append_sink_link(const struct fib *wanted, struct text_builder *builder)
{
        for (size_t i = 0; i < wanted->n_routes; i++) {
                if (!route_is_sink(&wanted->routes[i]))
                        continue;
                text_append(builder,
                        "ip link add " SINK_LINK_NAME " type %s\n"
                        "ip link set " SINK_LINK_NAME " addrgenmode none arp off\n"
                        "ip link set " SINK_LINK_NAME " alias " OWN_LINK_ALIAS " up\n",
                        sink_link.kinds[0]);
                return;
        }
}

static void append_noop_route(const struct settings *settings, struct text_builder *builder)
{
        char text[PREFIX_TEXT_MAX];

        if (settings->noop_route.address.family == 0)
                return;
        text_append(builder,
                "ip link add " NOOP_LINK_NAME " type dummy\n"
                "ip link set " NOOP_LINK_NAME " alias " OWN_LINK_ALIAS " up\n"
                "ip route replace %s dev " NOOP_LINK_NAME " scope link protocol kernel\n",
                prefix_format(&settings->noop_route, text));
}

int policy_commands(const struct policy_input *input, struct text_builder *builder)
{
        struct fib wanted = {};
        int r = policy_compute(input, &wanted);

        if (r >= 0)
                append_sink_link(&wanted, builder);
        for (int i = 0; r >= 0 && i < FAMILY_MAX; i++)
                r = append_family(input, &wanted, family_from_index((enum family_index)i), builder);
        append_noop_route(input->settings, builder);
        fib_deinit(&wanted);
        if (r >= 0 && builder->failed)
                r = -ENOMEM;
        return r;
}
