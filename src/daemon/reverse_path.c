#include "daemon/reverse_path.h"

#include <stdio.h>
#include <string.h>

#include "daemon/reconciler.h"
#include "kernel/noop_link.h"
#include "kernel/route_query.h"
#include "kernel/sink_link.h"

/* Stands for the sink link where it is not to be made: no link has this index. */
#define IMAGINED_LINK   ((uint32_t)INT32_MAX)
/* Other nodes to which the way is asked for; evenly chosen where there are more. */
#define NODES_ASKED_MAX 64u
#define UNDERLAY_MAX    16u

/* The links that carry what goes to other nodes. */
struct underlay {
        uint32_t links[UNDERLAY_MAX];
        size_t n;
};

void reverse_path_deinit(struct reverse_path *path)
{
        rp_filter_deinit(&path->seen);
}

static void add_finding(struct reconcile_result *result, const char *text)
{
        text_append(&result->findings, "%s\n", text);
        result->n_findings++;
}

static uint32_t link_index(struct netlink *nl, const char *name)
{
        struct link link;

        return link_read(nl, name, &link, NULL) >= 0 ? link.ifindex : 0;
}

/* Keeps what was read before when it cannot be read. */
static void look(struct reverse_path *path, struct netlink *nl, struct reconcile_result *result)
{
        struct rp_filter filter = {};
        struct error error = {};

        path->except[0] = result->link.ifindex;
        path->except[1] = link_index(nl, SINK_LINK_NAME);
        path->except[2] = link_index(nl, NOOP_LINK_NAME);
        if (rp_filter_read(nl, path->except, ARRAY_SIZE(path->except), &filter, &error) < 0) {
                error_prefix(&error, "rp_filter cannot be read");
                add_finding(result, error.text);
                return;
        }
        rp_filter_deinit(&path->seen);
        path->seen = filter;
}

/* Whether anything at all may be blocked while the device is away. */
static bool blocks(const struct reconcile_input *input)
{
        return input->settings->n_protect > 0 ||
               (input->settings->on_tunnel_down == TUNNEL_DOWN_BLOCK &&
                       input->cluster->n_nodes > 0);
}

static void tell_no_sink(struct reconcile_result *result, const struct error *error, int code)
{
        struct error text;

        if (code == -EEXIST)
                error_fill(&text, code,
                        "rp_filter is 2 (loose), and the link that is needed then cannot be made: "
                        "%s; while the device is away, ARP of other nodes is not answered: delete "
                        "or rename that link, or set rp_filter to 0",
                        error->text);
        else
                error_fill(&text, code,
                        "rp_filter is 2 (loose), and the link that is needed then cannot be made: "
                        "%s; while the device is away, ARP of other nodes is not answered: set "
                        "rp_filter to 0, or provide the kernel module \"dummy\"",
                        error->text);
        add_finding(result, text.text);
}

uint32_t reverse_path_prepare(struct reverse_path *path, struct netlink *nl,
        const struct reconcile_input *input, struct reconcile_result *result)
{
        struct error error = {};
        struct link link;
        int r;

        look(path, nl, result);
        if (!path->seen.loose || !blocks(input))
                return 0;
        if (input->settings->mode == MODE_OBSERVE) {
                r = own_link_read(nl, &sink_link, &link, &error);
                return r > 0 && link.up ? link.ifindex : IMAGINED_LINK;
        }
        r = own_link_ensure(nl, &sink_link, &link, &error);
        if (r < 0) {
                tell_no_sink(result, &error, r);
                return 0;
        }
        result->written += (size_t)r;
        return link.ifindex;
}

static void add_underlay(struct underlay *underlay, uint32_t ifindex)
{
        for (size_t i = 0; i < underlay->n; i++)
                if (underlay->links[i] == ifindex)
                        return;
        if (ifindex > LOOPBACK_IFINDEX && underlay->n < UNDERLAY_MAX)
                underlay->links[underlay->n++] = ifindex;
}

/* Asked with the device's mark: the way that its encrypted packets take. */
static void add_way_to(struct underlay *underlay, struct netlink *nl,
        const struct policy_input *input, const struct address *address)
{
        const struct flow flow = {.destination = *address, .mark = input->device->mark};
        struct route_answer answer;

        if (route_query(nl, &flow, 0, &answer, NULL) >= 0 && answer.result == 0 &&
                answer.oif != input->device->ifindex && answer.oif != input->device->sink)
                add_underlay(underlay, answer.oif);
}

static void find_underlay(
        struct underlay *underlay, struct netlink *nl, const struct policy_input *input)
{
        const struct cluster *cluster = input->cluster;
        const struct node *self = policy_self(input);
        size_t stride = cluster->n_nodes / NODES_ASKED_MAX + 1;
        const int v4 = family_index(AF_INET);
        uint32_t ifindex;

        if (self && self->addresses[v4].family != 0 &&
                address_link_read(nl, &self->addresses[v4], &ifindex, NULL) >= 0)
                add_underlay(underlay, ifindex);
        for (size_t i = 0; i < cluster->n_nodes; i += stride)
                if (cluster->nodes[i] != self && cluster->nodes[i]->addresses[v4].family != 0)
                        add_way_to(underlay, nl, input, &cluster->nodes[i]->addresses[v4]);
}

static bool is_strict(const struct rp_filter *filter, uint32_t ifindex)
{
        for (size_t i = 0; i < filter->n_strict; i++)
                if (filter->strict[i] == ifindex)
                        return true;
        return false;
}

static void tell_strict(struct reconcile_result *result, uint32_t ifindex)
{
        char name[IF_NAMESIZE] = "?", text[sizeof(result->problem)];

        (void)if_indextoname(ifindex, name);
        /* With slashes: a VLAN's name has a dot. */
        snprintf(text, sizeof(text),
                "rp_filter is 1 (strict) on %s, which leads to other nodes: what they send "
                "encrypted, and their ARP requests, are dropped; \"sysctl -w "
                "net/ipv4/conf/%s/rp_filter=2\" mends it until the next boot, the same line in "
                "/etc/sysctl.d/99-nodecryptor.conf for good",
                name, name);
        if (!result->problem[0])
                memcpy(result->problem, text, sizeof(text));
        add_finding(result, text);
        result->strict_links++;
}

void reverse_path_judge(const struct reverse_path *path, struct netlink *nl,
        const struct policy_input *input, struct reconcile_result *result)
{
        struct underlay underlay = {};

        if (path->seen.n_strict == 0)
                return;
        find_underlay(&underlay, nl, input);
        for (size_t i = 0; i < underlay.n; i++)
                if (is_strict(&path->seen, underlay.links[i]))
                        tell_strict(result, underlay.links[i]);
}

int reverse_path_clean(struct netlink *nl, struct reconcile_result *result)
{
        int r = own_link_remove(nl, &sink_link, &result->error);

        if (r > 0)
                result->written++;
        return r;
}

bool reverse_path_changed(const struct reverse_path *path, struct netlink *nl)
{
        struct rp_filter filter = {};
        bool changed;

        if (rp_filter_read(nl, path->except, ARRAY_SIZE(path->except), &filter, NULL) < 0)
                return true;
        changed = !rp_filter_equal(&filter, &path->seen);
        rp_filter_deinit(&filter);
        return changed;
}
