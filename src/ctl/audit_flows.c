#include "ctl/audit_flows.h"

#include <netinet/in.h>

/* Ports that no exemption should name; where one does, the policy's answer follows. */
#define PORT_KUBELET 10250
#define PORT_HIGH    40123

struct telling {
        const struct audit_source *source;
        const struct settings *settings;
        audit_flow_handler handler;
        void *userdata;
        struct address destination;
};

static int tell(struct telling *t, const char *kind, const struct address *source, bool forwarded,
        uint8_t protocol, uint16_t source_port, uint16_t destination_port)
{
        const struct flow flow = {
                .source = *source,
                .destination = t->destination,
                .ip_protocol = protocol,
                .source_port = source_port,
                .destination_port = destination_port,
                .forwarded = forwarded,
        };

        return t->handler(kind, &flow, t->userdata);
}

/* ICMP, and TCP and UDP at ports that nobody exempts. */
static int tell_plain(
        struct telling *t, const char *kind, const struct address *source, bool forwarded)
{
        uint8_t icmp = t->destination.family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
        int r = tell(t, kind, source, forwarded, icmp, 0, 0);

        if (r >= 0)
                r = tell(t, kind, source, forwarded, IPPROTO_TCP, PORT_HIGH, PORT_KUBELET);
        if (r >= 0)
                r = tell(t, kind, source, forwarded, IPPROTO_UDP, PORT_HIGH, PORT_KUBELET);
        return r;
}

/* An exempt port as the server's and as the client's, by the protocol that is exempt and another.
 */
static int tell_port(struct telling *t, const char *kind, const struct address *source,
        bool forwarded, uint16_t port)
{
        static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(protocols); i++) {
                r = tell(t, kind, source, forwarded, protocols[i], PORT_HIGH, port);
                if (r >= 0)
                        r = tell(t, kind, source, forwarded, protocols[i], port, PORT_HIGH);
        }
        return r;
}

static bool is_exempt(const struct settings *settings, uint16_t port)
{
        for (size_t i = 0; i < settings->n_exemptions; i++)
                if (exemption_names(&settings->exemptions[i], IPPROTO_TCP, port))
                        return true;
        return false;
}

static int tell_ports(
        struct telling *t, const char *kind, const struct address *source, bool forwarded)
{
        const struct settings *settings = t->settings;
        int r = 0;

        for (size_t i = 0; i < settings->n_exemptions; i++)
                for (size_t j = 0; r >= 0 && j < settings->exemptions[i].n_ports; j++) {
                        const struct port_range *range = &settings->exemptions[i].ports[j];

                        r = tell_port(t, kind, source, forwarded, range->first);
                        if (r >= 0 && range->last != range->first)
                                r = tell_port(t, kind, source, forwarded, range->last);
                }
        if (r >= 0 && t->source->endpoint_port != 0 &&
                !is_exempt(settings, t->source->endpoint_port))
                r = tell_port(t, kind, source, forwarded, t->source->endpoint_port);
        return r;
}

/* `kinds`: from the host without and with its address, from a pod. */
static int tell_destination(struct telling *t, const char *const kinds[static 2])
{
        const struct address none = {};
        int family = family_index(t->destination.family), r;
        const struct address *host = &t->source->host[family], *pod = &t->source->pod[family];

        /* Who binds no address, and who does, as every server that answers: rules can tell. */
        r = tell_plain(t, kinds[0], &none, false);
        if (r >= 0 && host->family != 0)
                r = tell_plain(t, kinds[0], host, false);
        if (r >= 0)
                r = tell_ports(t, kinds[0], host, false);
        if (r >= 0 && pod->family != 0)
                r = tell_plain(t, kinds[1], pod, true);
        if (r >= 0 && pod->family != 0)
                r = tell_ports(t, kinds[1], pod, true);
        return r;
}

/* One of its pods: any address of the prefix serves, the first is seldom one. */
static struct address address_in(const struct prefix *prefix)
{
        struct address address = prefix->address;
        unsigned bits = address_bits(address.family);

        if (prefix->length + 1u < bits)
                address.bytes[address_size(address.family) - 1] |= 2;
        return address;
}

int audit_flows_tell(const struct audit_source *source, const struct settings *settings,
        const struct node *peer, audit_flow_handler handler, void *userdata)
{
        static const char *const to_node[] = {"host to node", "pod to node"}, *const to_pod[] = {
                                                                                      "host to pod",
                                                                                      "pod to pod"};
        struct telling t = {
                .source = source,
                .settings = settings,
                .handler = handler,
                .userdata = userdata,
        };
        int r = 0;

        for (int i = 0; r >= 0 && i < FAMILY_MAX; i++) {
                t.destination = peer->addresses[i];
                if (t.destination.family != 0)
                        r = tell_destination(&t, to_node);
        }
        for (size_t i = 0; r >= 0 && i < peer->n_pod_prefixes; i++) {
                t.destination = address_in(&peer->pod_prefixes[i]);
                r = tell_destination(&t, to_pod);
        }
        return r;
}
