/*
 * What the story tells of the device's peers.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "basics/log.h"
#include "basics/message_id.h"
#include "daemon/story.h"

/* Nodes that are told one by one after one reading, and named in the status for each state. */
#define TOLD_MAX  10u
#define NAMED_MAX 3u

static void describe_missing(const struct carriage_node *row, struct text_builder *builder)
{
        char address[ADDRESS_TEXT_MAX];

        text_append(builder,
                "no WireGuard peer carries its address %s: what is sent there is refused",
                address_format(&row->node->addresses[row->family], address));
}

static void describe_mismatched(
        const struct carriage_node *row, const struct peer *peer, struct text_builder *builder)
{
        char address[ADDRESS_TEXT_MAX], key[PEER_KEY_TEXT_MAX];

        text_append(builder,
                "the WireGuard peer that carries its address %s has the key %s, its CiliumNode "
                "names %s",
                address_format(&row->node->addresses[row->family], address),
                peer_key_format(peer->key, key), row->node->public_key);
}

static void describe_stale(const struct peer *peer, struct text_builder *builder)
{
        struct tm broken;
        char at[32] = "never";
        time_t handshake = (time_t)(peer->handshake_nsec / UINT64_C(1000000000));

        if (handshake != 0 && gmtime_r(&handshake, &broken))
                strftime(at, sizeof(at), "%FT%TZ", &broken);
        text_append(builder,
                "its WireGuard peer does not answer: %" PRIu64 " bytes sent, last handshake %s",
                peer->tx_bytes, at);
}

static void describe(
        const struct carriage *table, const struct carriage_node *row, struct text_builder *builder)
{
        uint32_t carrier = row->carriers[row->family];

        if (row->state == CARRIAGE_GOOD)
                text_append(builder, "its WireGuard peer carries it again, it was %s",
                        carriage_state_name(row->before));
        else if (row->state == CARRIAGE_MISSING || carrier == CARRIAGE_NONE)
                describe_missing(row, builder);
        else if (row->state == CARRIAGE_MISMATCHED)
                describe_mismatched(row, &table->peers[carrier].peer, builder);
        else
                describe_stale(&table->peers[carrier].peer, builder);
}

static void tell_node(const struct carriage *table, const struct carriage_node *row)
{
        struct text_builder what = {};
        char name[300], state[64];
        const char *fields[] = {name, state, NULL};

        describe(table, row, &what);
        snprintf(name, sizeof(name), "NODECRYPTOR_NODE=%s", row->node->name);
        snprintf(
                state, sizeof(state), "NODECRYPTOR_PEER_STATE=%s", carriage_state_name(row->state));
        log_event(row->state == CARRIAGE_GOOD ? LOG_NOTICE : LOG_WARNING, MESSAGE_PEER, fields,
                "node %s: %s", row->node->name, what.failed ? "?" : what.text);
        text_deinit(&what);
}

static void tell_transitions(const struct carriage *table)
{
        size_t n = 0;

        for (size_t i = 0; i < table->n_nodes; i++) {
                const struct carriage_node *row = &table->nodes[i];

                if (row->state != row->before && n++ < TOLD_MAX)
                        tell_node(table, row);
        }
        if (n > TOLD_MAX)
                log_event(LOG_WARNING, MESSAGE_PEER, NULL,
                        "the same or the like of %zu more nodes' WireGuard peers", n - TOLD_MAX);
}

/* "2 nodes missing (worker-2, worker-3), 5 stale (cp-1, cp-2, cp-3, …)", or nothing. */
static void name_problems(const struct carriage *table, const struct carriage_counts *counts,
        struct text_builder *builder)
{
        for (enum carriage_state state = CARRIAGE_GOOD + 1; state < CARRIAGE_MAX; state++) {
                size_t named = 0;

                if (counts->nodes[state] == 0)
                        continue;
                text_append(builder, "%s%zu %s (", builder->length > 0 ? ", " : "",
                        counts->nodes[state], carriage_state_name(state));
                for (size_t i = 0; i < table->n_nodes && named < NAMED_MAX; i++)
                        if ((enum carriage_state)table->nodes[i].state == state)
                                text_append(builder, "%s%s", named++ > 0 ? ", " : "",
                                        table->nodes[i].node->name);
                text_append(builder, "%s)", counts->nodes[state] > named ? ", …" : "");
        }
}

/* Once, and when it is another number. */
static void tell_other_addresses(
        struct story *story, const struct carriage *table, const struct carriage_counts *counts)
{
        size_t first = 0;
        char address[ADDRESS_TEXT_MAX];

        if (counts->other_addresses == story->other_addresses)
                return;
        story->other_addresses = counts->other_addresses;
        while (first < table->n_nodes && table->nodes[first].node->n_other_addresses == 0)
                first++;
        if (first == table->n_nodes)
                return;
        log_info("%zu further addresses of nodes are not steered (the first: %s of node %s); peers "
                 "carry %zu of them",
                counts->other_addresses,
                address_format(table->nodes[first].node->other_addresses, address),
                table->nodes[first].node->name, counts->other_carried);
}

void story_peers(struct story *story, const struct carriage *table)
{
        struct status_peers *peers = &story->status.peers;
        struct text_builder problems = {};
        struct carriage_counts counts;

        if (!table) {
                *peers = (struct status_peers){};
                return;
        }
        carriage_count(table, &counts);
        name_problems(table, &counts, &problems);
        *peers = (struct status_peers){
                .known = true,
                .carried = counts.nodes[CARRIAGE_GOOD],
                .missing = counts.nodes[CARRIAGE_MISSING],
                .mismatched = counts.nodes[CARRIAGE_MISMATCHED],
                .stale = counts.nodes[CARRIAGE_STALE],
                .undecided = counts.undecided,
                .peers = counts.peers,
                .unknown_peers = counts.unknown_peers,
        };
        STATUS_PRINT(peers->problems, "%s", problems.text && !problems.failed ? problems.text : "");
        text_deinit(&problems);
        tell_transitions(table);
        tell_other_addresses(story, table, &counts);
}
