#include "ctl/survey.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "ctl/bus_client.h"
#include "ctl/peer_nodes.h"
#include "ctl/status_json.h"
#include "kernel/netlink.h"
#include "kernel/sink_link.h"
#include "kernel/wireguard.h"
#include "store/json.h"

/* An own pod's address is guessed: so many at the beginning of a prefix are tried. */
#define POD_TRIES 8

static int read_snapshot(struct survey *s, struct error *error)
{
        _cleanup_free_ char *path = NULL;
        int r;

        if (asprintf(&path, "%s/%s", s->settings->state_directory, SNAPSHOT_FILE) < 0) {
                path = NULL;
                return error_set(error, -ENOMEM, "out of memory");
        }
        r = snapshot_read(path, &s->snapshot, error);
        return r == -ENOENT ? 0 : r;
}

/* The daemon tells of the others; what it does not tell of ourselves, the snapshot does. */
static int add_self(struct survey *s, json_object *status, struct error *error)
{
        const char *name = status_text(status, "NodeName");
        struct node *self = NULL;

        if (!*name || !status_is(status, "NodeKnown"))
                return 0;
        if (s->snapshot.cluster)
                self = cluster_find(s->snapshot.cluster, name);
        self = self ? node_ref(self) : node_new(name);
        if (!self || cluster_put(s->cluster, self) < 0)
                return error_set(error, -ENOMEM, "out of memory");
        return 0;
}

/* −ESRCH: it is away. */
static int ask_daemon(struct survey *s, struct error *error)
{
        _cleanup_(json_putp) json_object *status = NULL, *peers = NULL;
        _cleanup_(bus_client_freep) struct bus_client *client = NULL;
        const char *name;
        int r = bus_client_new(&client, error);

        if (r >= 0)
                r = bus_client_properties(client, &status, error);
        if (r >= 0)
                r = bus_client_query(client, "ListPeers", &peers, error);
        if (r < 0)
                return r;
        s->cluster = cluster_new();
        if (!s->cluster)
                return error_set(error, -ENOMEM, "out of memory");
        name = status_text(status, "NodeName");
        r = text_replace(&s->node_name, *name ? name : NULL);
        if (r >= 0)
                r = peer_nodes_add(peers, s->settings, s->cluster, error);
        if (r >= 0)
                r = add_self(s, status, error);
        s->from_daemon = r >= 0;
        return r;
}

static int read_nodes(struct survey *s, struct error *error)
{
        int r = ask_daemon(s, error);

        if (r != -ESRCH)
                return r;
        if (!s->snapshot.cluster)
                return error_set(error, -ENODATA,
                        "no node is known: the daemon cannot be asked, and %s has no snapshot",
                        s->settings->state_directory);
        s->cluster = cluster_copy(s->snapshot.cluster);
        if (!s->cluster ||
                text_replace(&s->node_name, s->settings->node_name ? s->settings->node_name
                                                                   : s->snapshot.node_name) < 0)
                return error_set(error, -ENOMEM, "out of memory");
        return 0;
}

static int read_host(struct survey *s, struct error *error)
{
        struct wireguard wireguard;
        int r = netlink_new(NETLINK_ROUTE, &s->nl);

        if (r < 0)
                return error_set(error, r, "rtnetlink: %s", strerror(-r));
        r = link_read(s->nl, s->settings->interface, &s->link, error);
        if (r >= 0 || r == -ENODEV)
                r = own_link_read(s->nl, &sink_link, &s->sink, error);
        if (r >= 0)
                r = addresses_read(s->nl, &s->local, &s->device.n_local, error);
        if (r < 0)
                return r;
        s->device.local = s->local;
        s->device.ifindex = s->link.ifindex;
        s->device.usable = s->link.up && link_encrypts(&s->link);
        s->device.mark = DEFAULT_MARK;
        if (s->link.ifindex != 0 && wireguard_read(s->link.ifindex, &wireguard, NULL) >= 0 &&
                wireguard.fwmark != 0)
                s->device.mark = wireguard.fwmark;
        return 0;
}

/* An address of the prefix that is not the host's own, and that a link leads to. */
static bool find_pod(struct survey *s, const struct prefix *prefix)
{
        int family = family_index(prefix->address.family);
        struct address address = prefix->address;
        uint8_t *last = &address.bytes[address_size(address.family) - 1];
        bool alone = prefix->length == address_bits(address.family);

        for (unsigned i = alone ? 0 : 1; i <= POD_TRIES; i++) {
                struct flow flow = {.destination = address, .ip_protocol = IPPROTO_TCP};
                struct route_answer answer;

                *last = (uint8_t)(prefix->address.bytes[address_size(address.family) - 1] + i);
                flow.destination = address;
                if (!prefix_contains(prefix, &address))
                        return false;
                if (device_has_local(&s->device, &address) ||
                        route_query(s->nl, &flow, 0, &answer, NULL) < 0 || answer.result < 0 ||
                        answer.type != RTN_UNICAST || survey_way(s, &answer) != WAY_MAIN)
                        continue;
                s->pods[family] = address;
                s->pod_links[family] = answer.oif;
                return true;
        }
        return false;
}

static void find_pods(struct survey *s)
{
        const struct policy_input input = survey_input(s);
        const struct node *self = policy_self(&input);

        for (size_t i = 0; self && i < self->n_pod_prefixes; i++)
                if (s->pods[family_index(self->pod_prefixes[i].address.family)].family == 0)
                        find_pod(s, &self->pod_prefixes[i]);
}

int survey_read(const struct options *options, struct survey *ret, struct error *error)
{
        int r;

        if (config_load(options, &ret->settings, error) < 0)
                return -EINVAL;
        r = read_snapshot(ret, error);
        if (r >= 0)
                r = read_nodes(ret, error);
        if (r >= 0)
                r = read_host(ret, error);
        if (r >= 0)
                find_pods(ret);
        /* That code is the configuration's. */
        return r == -EINVAL ? -EIO : r;
}

void survey_deinit(struct survey *survey)
{
        netlink_free(survey->nl);
        free(survey->local);
        free(survey->node_name);
        cluster_free(survey->cluster);
        snapshot_deinit(&survey->snapshot);
        settings_free(survey->settings);
        *survey = (struct survey){};
}

struct policy_input survey_input(const struct survey *survey)
{
        return (struct policy_input){
                .settings = survey->settings,
                .cluster = survey->cluster,
                .node_name = survey->node_name,
                .device = &survey->device,
                .endpoint = &survey->snapshot.endpoint,
        };
}

enum verdict_way survey_way(const struct survey *survey, const struct route_answer *answer)
{
        if (answer->result < 0 ||
                (survey->sink.ifindex != 0 && answer->oif == survey->sink.ifindex))
                return WAY_BLOCKED;
        return survey->link.ifindex != 0 && answer->oif == survey->link.ifindex ? WAY_DEVICE
                                                                                : WAY_MAIN;
}
