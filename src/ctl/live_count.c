#include "ctl/live_count.h"

#include <netinet/in.h>
#include <string.h>

int live_counts_init(struct live_counts *ret, const struct policy_input *input, uint16_t port)
{
        struct live_counts counts = {
                .input = input,
                .port = port,
                .n_classes = LIVE_EXEMPT + input->settings->n_exemptions,
        };
        size_t row = LIVE_DIRECTION_MAX * counts.n_classes;

        counts.quick = quick_verdict_new(input);
        counts.peers = calloc(input->cluster->n_nodes + 1, row * sizeof(*counts.peers));
        counts.totals = calloc(row, sizeof(*counts.totals));
        counts.offenders = calloc(LIVE_OFFENDERS_ROOM, sizeof(*counts.offenders));
        if (!counts.quick || !counts.peers || !counts.totals || !counts.offenders) {
                live_counts_deinit(&counts);
                return -ENOMEM;
        }
        *ret = counts;
        return 0;
}

void live_counts_deinit(struct live_counts *counts)
{
        quick_verdict_free(counts->quick);
        free(counts->peers);
        free(counts->totals);
        free(counts->offenders);
        *counts = (struct live_counts){};
}

/* The flow as this node sends it: what comes in is judged as what answers it. */
static struct flow our_flow(const struct live_counts *counts, const struct live_packet *packet,
        enum live_direction direction)
{
        bool out = direction == LIVE_OUT;
        struct flow flow = {
                .source = out ? packet->source : packet->destination,
                .destination = out ? packet->destination : packet->source,
                .ip_protocol = packet->ip_protocol,
                .source_port = out ? packet->source_port : packet->destination_port,
                .destination_port = out ? packet->destination_port : packet->source_port,
        };

        flow.forwarded = !device_has_local(counts->input->device, &flow.source);
        return flow;
}

static bool is_wireguard(const struct live_counts *counts, const struct live_packet *packet)
{
        return packet->wireguard_message &&
               (packet->source_port == counts->port || packet->destination_port == counts->port);
}

static int classify(struct live_counts *counts, const struct live_packet *packet,
        enum live_direction direction, size_t *ret)
{
        const struct flow flow = our_flow(counts, packet, direction);
        struct verdict verdict;
        int r;

        if (is_wireguard(counts, packet)) {
                *ret = LIVE_WIREGUARD;
                return 0;
        }
        r = quick_verdict_ask(counts->quick, &flow, &verdict);
        if (r < 0)
                return r;
        if (verdict.reason == VERDICT_EXEMPT)
                *ret = verdict.exemption
                               ? LIVE_EXEMPT + (size_t)(verdict.exemption -
                                                        counts->input->settings->exemptions)
                               : LIVE_ENDPOINT;
        else if (verdict.reason == VERDICT_UNTOUCHED)
                *ret = LIVE_NOT_OURS;
        else if (packet->later_fragment &&
                 (packet->ip_protocol == IPPROTO_UDP || packet->ip_protocol == IPPROTO_TCP))
                *ret = LIVE_FRAGMENT;
        else
                *ret = LIVE_PLAIN;
        return 0;
}

/* FNV-1a over what makes the flow. */
static uint32_t hash_flow(const struct live_packet *packet, enum live_direction direction)
{
        uint8_t bytes[2 * 16 + 6], *at = bytes;
        uint32_t hash = 2166136261u;

        memcpy(at, packet->source.bytes, 16);
        memcpy(at + 16, packet->destination.bytes, 16);
        memcpy(at + 32, &packet->source_port, 2);
        memcpy(at + 34, &packet->destination_port, 2);
        at[36] = packet->ip_protocol;
        at[37] = (uint8_t)direction;
        for (size_t i = 0; i < sizeof(bytes); i++)
                hash = (hash ^ bytes[i]) * 16777619u;
        return hash;
}

static bool is_flow(const struct live_offender *offender, const struct live_packet *packet,
        enum live_direction direction)
{
        const struct live_packet *first = &offender->packet;

        return offender->direction == direction && first->ip_protocol == packet->ip_protocol &&
               first->source_port == packet->source_port &&
               first->destination_port == packet->destination_port &&
               address_equal(&first->source, &packet->source) &&
               address_equal(&first->destination, &packet->destination);
}

static void keep_offender(struct live_counts *counts, const struct live_packet *packet,
        enum live_direction direction, const struct node *peer, uint64_t now)
{
        uint32_t place = hash_flow(packet, direction) % LIVE_OFFENDERS_ROOM;
        struct live_offender *offender = &counts->offenders[place];

        /* A quarter stays empty: it ends. */
        while (offender->packets > 0 && !is_flow(offender, packet, direction)) {
                place = (place + 1) % LIVE_OFFENDERS_ROOM;
                offender = &counts->offenders[place];
        }
        if (offender->packets == 0) {
                if (counts->n_offenders >= LIVE_OFFENDERS_MAX) {
                        counts->left_out++;
                        return;
                }
                counts->n_offenders++;
                *offender = (struct live_offender){
                        .packet = *packet,
                        .direction = direction,
                        .peer = peer,
                        .first_seen = now,
                };
        }
        offender->packets++;
        offender->bytes += packet->length;
}

int live_count(struct live_counts *counts, const uint8_t *data, size_t size,
        enum live_direction direction, uint64_t now)
{
        struct live_packet packet;
        const struct node *peer;
        uint32_t index;
        size_t class, cell;
        int r;

        if (live_packet_parse(data, size, &packet) < 0) {
                counts->unreadable++;
                return 0;
        }
        if (live_packet_is_control(&packet)) {
                counts->control++;
                return 0;
        }
        peer = quick_verdict_owner(counts->quick,
                direction == LIVE_OUT ? &packet.destination : &packet.source, &index);
        if (!peer) {
                counts->elsewhere++;
                return 0;
        }
        r = classify(counts, &packet, direction, &class);
        if (r < 0)
                return r;
        cell = (size_t)direction * counts->n_classes + class;
        counts->totals[cell]++;
        counts->peers[index * LIVE_DIRECTION_MAX * counts->n_classes + cell]++;
        if (class == LIVE_PLAIN)
                keep_offender(counts, &packet, direction, peer, now);
        return 0;
}

uint64_t live_counted(
        const struct live_counts *counts, size_t node, enum live_direction direction, size_t class)
{
        size_t cell = (size_t)direction * counts->n_classes + class;

        return node == SIZE_MAX
                       ? counts->totals[cell]
                       : counts->peers[node * LIVE_DIRECTION_MAX * counts->n_classes + cell];
}

static int compare_offenders(const void *a, const void *b)
{
        const struct live_offender *one = a, *other = b;

        return (one->packets < other->packets) - (one->packets > other->packets);
}

void live_counts_sort(struct live_counts *counts)
{
        qsort(counts->offenders, LIVE_OFFENDERS_ROOM, sizeof(*counts->offenders),
                compare_offenders);
}

const char *live_class_name(const struct live_counts *counts, size_t class)
{
        switch (class) {
        case LIVE_WIREGUARD: return "WireGuard";
        case LIVE_PLAIN: return "PLAIN";
        case LIVE_FRAGMENT: return "fragments";
        case LIVE_NOT_OURS: return "not ours";
        case LIVE_ENDPOINT: return "API endpoint";
        default: return counts->input->settings->exemptions[class - LIVE_EXEMPT].name;
        }
}
