/*
 * A reading in progress: the nodes' addresses, sorted, each with the longest prefix around it that
 * any peer has carried so far. That is how WireGuard chooses a peer ("cryptokey routing", §2 of the
 * paper), so when the last prefix is read each address has its peer, and no prefix was kept.
 */
#include "policy/carriage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "basics/array.h"
#include "basics/text.h"
#include "policy/carriage_reading.h"
#include "policy/steering.h"

static int target_compare(const void *a, const void *b)
{
        const struct carriage_target *x = a, *y = b;

        return address_compare(&x->address, &y->address);
}

static int key_compare(const void *a, const void *b)
{
        const struct carriage_key *x = a, *y = b;

        return strcmp(x->text, y->text);
}

/* The number of addresses that a node's row has as targets: A(R), then the further ones. */
static size_t addresses_of(const struct node *node)
{
        size_t n = node->n_other_addresses;

        for (int i = 0; i < FAMILY_MAX; i++)
                n += node->addresses[i].family != 0;
        return n;
}

static void add_target(struct carriage_reading *reading, const struct address *address,
        uint32_t node, uint8_t kind)
{
        reading->targets[reading->n_targets++] = (struct carriage_target){
                .address = *address,
                .kind = kind,
                .length = -1,
                .node = node,
                .peer = CARRIAGE_NONE,
        };
}

static void add_node(struct carriage *carriage, const struct settings *settings,
        const struct node *self, struct node *node)
{
        struct carriage_reading *reading = carriage->reading;
        uint32_t index = (uint32_t)carriage->n_nodes++;
        struct carriage_node *row = &carriage->nodes[index];
        const struct policy_input input = {.settings = settings};

        row->node = node_ref(node);
        for (int i = 0; i < FAMILY_MAX; i++) {
                row->carriers[i] = CARRIAGE_NONE;
                row->steered[i] = steering_takes_address(&input, self, &node->addresses[i]);
                if (node->addresses[i].family != 0)
                        add_target(reading, &node->addresses[i], index, (uint8_t)i);
        }
        for (size_t i = 0; i < node->n_other_addresses; i++)
                add_target(reading, &node->other_addresses[i], index, TARGET_OTHER);
        if (node->public_key)
                reading->keys[reading->n_keys++] =
                        (struct carriage_key){.text = node->public_key, .node = index};
}

/* All the room that the nodes need, at once. */
static int reserve(struct carriage *carriage, const struct cluster *cluster)
{
        struct carriage_reading *reading = calloc(1, sizeof(*reading));
        size_t n_targets = 0, n_pods = 0;

        carriage->reading = reading;
        for (size_t i = 0; i < cluster->n_nodes; i++) {
                n_targets += addresses_of(cluster->nodes[i]);
                if (cluster->nodes[i]->n_pod_prefixes > n_pods)
                        n_pods = cluster->nodes[i]->n_pod_prefixes;
        }
        carriage->nodes = calloc(cluster->n_nodes + 1, sizeof(*carriage->nodes));
        if (!reading || !carriage->nodes)
                return -ENOMEM;
        reading->targets = calloc(n_targets + 1, sizeof(*reading->targets));
        reading->keys = calloc(cluster->n_nodes + 1, sizeof(*reading->keys));
        reading->pods_seen = calloc(n_pods + 1, 1);
        return reading->targets && reading->keys && reading->pods_seen ? 0 : -ENOMEM;
}

int carriage_begin(struct carriage *ret, const struct settings *settings,
        const struct cluster *cluster, const struct node *self)
{
        struct carriage_reading *reading;

        if (reserve(ret, cluster) < 0) {
                carriage_deinit(ret);
                return -ENOMEM;
        }
        for (size_t i = 0; i < cluster->n_nodes; i++)
                if (!self || strcmp(cluster->nodes[i]->name, self->name) != 0)
                        add_node(ret, settings, self, cluster->nodes[i]);
        reading = ret->reading;
        qsort(reading->targets, reading->n_targets, sizeof(*reading->targets), target_compare);
        qsort(reading->keys, reading->n_keys, sizeof(*reading->keys), key_compare);
        return 0;
}

void carriage_reading_free(struct carriage *carriage)
{
        struct carriage_reading *reading = carriage->reading;

        if (!reading)
                return;
        free(reading->targets);
        free(reading->keys);
        free(reading->pods_seen);
        free(reading);
        carriage->reading = NULL;
}

void carriage_deinit(struct carriage *carriage)
{
        carriage_reading_free(carriage);
        for (size_t i = 0; i < carriage->n_nodes; i++)
                node_free(carriage->nodes[i].node);
        free(carriage->nodes);
        free(carriage->peers);
        free(carriage->by_key);
        *carriage = (struct carriage){};
}

/* The node that names this key as its own; CARRIAGE_NONE: none does. */
static uint32_t node_of_key(const struct carriage_reading *reading, const struct peer *peer)
{
        char text[PEER_KEY_TEXT_MAX];
        const struct carriage_key wanted = {.text = peer_key_format(peer->key, text)}, *found;

        found = bsearch(&wanted, reading->keys, reading->n_keys, sizeof(wanted), key_compare);
        return found ? found->node : CARRIAGE_NONE;
}

int carriage_add_peer(struct carriage *carriage, const struct peer *peer)
{
        struct carriage_reading *reading = carriage->reading;
        uint32_t node = node_of_key(reading, peer);

        if (carriage->n_peers >= CARRIAGE_PEERS_MAX)
                return -E2BIG;
        if (!ARRAY_RESERVE(carriage->peers, carriage->allocated, carriage->n_peers + 1))
                return -ENOMEM;
        carriage->peers[carriage->n_peers++] = (struct carriage_peer){.peer = *peer, .node = node};
        if (node != CARRIAGE_NONE)
                memset(reading->pods_seen, 0, carriage->nodes[node].node->n_pod_prefixes);
        return 0;
}

/* The first target at or behind the address. */
static size_t first_target(const struct carriage_reading *reading, const struct address *address)
{
        size_t low = 0, high = reading->n_targets;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (address_compare(&reading->targets[middle].address, address) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

/*
 * The node's own prefixes that the carried one lies in (of nested ones the nearest) or around, each
 * counted once.
 */
static void see_pods(struct carriage *carriage, uint32_t index, const struct prefix *carried)
{
        struct carriage_node *row = &carriage->nodes[index];
        const struct node *node = row->node;
        uint8_t *seen = carriage->reading->pods_seen;
        size_t low = 0, high = node->n_pod_prefixes;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (prefix_compare(&node->pod_prefixes[middle], carried) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        /* The nearest one before it may lie around it; those from it on may lie in it. */
        if (low > 0)
                low--;
        for (size_t i = low; i < node->n_pod_prefixes; i++) {
                if (!prefix_overlaps(&node->pod_prefixes[i], carried)) {
                        if (i > low)
                                break;
                        continue;
                }
                row->pods_carried += !seen[i];
                seen[i] = 1;
        }
}

void carriage_add_allowed_ip(struct carriage *carriage, const struct prefix *prefix)
{
        struct carriage_reading *reading = carriage->reading;
        struct carriage_peer *peer;

        if (carriage->n_peers == 0)
                return;
        peer = &carriage->peers[carriage->n_peers - 1];
        peer->n_allowed++;
        for (size_t i = first_target(reading, &prefix->address); i < reading->n_targets; i++) {
                struct carriage_target *target = &reading->targets[i];

                if (!prefix_contains(prefix, &target->address))
                        break;
                if (prefix->length < target->length)
                        continue;
                target->length = prefix->length;
                target->peer = (uint32_t)(carriage->n_peers - 1);
        }
        if (peer->node != CARRIAGE_NONE)
                see_pods(carriage, peer->node, prefix);
}

static int name_compare(const void *name, const void *row)
{
        return strcmp(name, ((const struct carriage_node *)row)->node->name);
}

const struct carriage_node *carriage_find(const struct carriage *carriage, const char *name)
{
        if (carriage->n_nodes == 0)
                return NULL;
        return bsearch(
                name, carriage->nodes, carriage->n_nodes, sizeof(*carriage->nodes), name_compare);
}

void carriage_count(const struct carriage *carriage, struct carriage_counts *ret)
{
        struct carriage_counts counts = {.peers = carriage->n_peers};

        for (size_t i = 0; i < carriage->n_nodes; i++) {
                const struct carriage_node *row = &carriage->nodes[i];

                counts.other_addresses += row->node->n_other_addresses;
                counts.other_carried += row->other_carried;
                if (!row->steered[FAMILY_INET] && !row->steered[FAMILY_INET6])
                        continue;
                counts.nodes[row->state]++;
                counts.undecided += row->seen != row->state;
        }
        for (size_t i = 0; i < carriage->n_peers; i++)
                counts.unknown_peers += carriage->peers[i].node == CARRIAGE_NONE;
        *ret = counts;
}

const char *carriage_state_name(enum carriage_state state)
{
        static const char *const names[CARRIAGE_MAX] = {
                [CARRIAGE_GOOD] = "carried",
                [CARRIAGE_MISSING] = "missing",
                [CARRIAGE_MISMATCHED] = "mismatched",
                [CARRIAGE_STALE] = "stale",
        };

        return (unsigned)state < CARRIAGE_MAX ? names[state] : "unknown";
}
