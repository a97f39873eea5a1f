/*
 * The other nodes as the outside is told of them.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "basics/array.h"
#include "daemon/manager_private.h"

#define NSEC_PER_SEC UINT64_C(1000000000)

/* NULL-terminated texts, used again and again for one node after the other. */
struct texts {
        const char **items;
        size_t n;
        size_t allocated;
};

static int texts_add(struct texts *texts, const char *text)
{
        if (!ARRAY_RESERVE(texts->items, texts->allocated, texts->n + 2))
                return -ENOMEM;
        texts->items[texts->n++] = text;
        texts->items[texts->n] = NULL;
        return 0;
}

static int texts_clear(struct texts *texts)
{
        texts->n = 0;
        if (!ARRAY_RESERVE(texts->items, texts->allocated, 1))
                return -ENOMEM;
        texts->items[0] = NULL;
        return 0;
}

/* What is told of one node. */
struct room {
        char addresses[FAMILY_MAX][ADDRESS_TEXT_MAX];
        struct texts address_list;
        char (*prefixes)[PREFIX_TEXT_MAX];
        size_t prefixes_allocated;
        struct texts prefix_list;
        struct texts exemptions;
        char key[PEER_KEY_TEXT_MAX];
        char endpoint[ADDRESS_TEXT_MAX + 16];
        uint32_t *peer_of_node; /* by the index of the table's node; its own peer, if any */
};

static void room_deinit(struct room *room)
{
        free(room->address_list.items);
        free(room->prefixes);
        free(room->prefix_list.items);
        free(room->exemptions.items);
        free(room->peer_of_node);
}

static int list_addresses(struct room *room, const struct node *node)
{
        int r = texts_clear(&room->address_list);

        for (int i = 0; r >= 0 && i < FAMILY_MAX; i++)
                if (node->addresses[i].family != 0)
                        r = texts_add(&room->address_list,
                                address_format(&node->addresses[i], room->addresses[i]));
        return r;
}

static int list_prefixes(struct room *room, const struct node *node)
{
        int r = texts_clear(&room->prefix_list);

        if (!ARRAY_RESERVE(room->prefixes, room->prefixes_allocated, node->n_pod_prefixes))
                return -ENOMEM;
        for (size_t i = 0; r >= 0 && i < node->n_pod_prefixes; i++)
                r = texts_add(&room->prefix_list,
                        prefix_format(&node->pod_prefixes[i], room->prefixes[i]));
        return r;
}

static int list_exemptions(
        struct room *room, const struct settings *settings, const struct node *node)
{
        int r = texts_clear(&room->exemptions);

        for (size_t i = 0; r >= 0 && i < settings->n_exemptions; i++)
                if (selector_matches(&settings->exemptions[i].selector, node))
                        r = texts_add(&room->exemptions, settings->exemptions[i].name);
        return r;
}

/* Also of a node that nothing is carried to: whose peer has the key that its CiliumNode names. */
static int find_peers(struct room *room, const struct carriage *table)
{
        room->peer_of_node = calloc(table->n_nodes + 1, sizeof(*room->peer_of_node));
        if (!room->peer_of_node)
                return -ENOMEM;
        for (size_t i = 0; i < table->n_nodes; i++)
                room->peer_of_node[i] = CARRIAGE_NONE;
        for (size_t i = 0; i < table->n_peers; i++)
                if (table->peers[i].node < table->n_nodes)
                        room->peer_of_node[table->peers[i].node] = (uint32_t)i;
        return 0;
}

static int compare_name(const void *name, const void *row)
{
        return strcmp(name, ((const struct carriage_node *)row)->node->name);
}

static const char *format_endpoint(const struct peer *peer, char *buffer, size_t size)
{
        char address[ADDRESS_TEXT_MAX];

        if (peer->endpoint.family == 0)
                return "";
        snprintf(buffer, size, peer->endpoint.family == AF_INET6 ? "[%s]:%u" : "%s:%u",
                address_format(&peer->endpoint, address), peer->endpoint_port);
        return buffer;
}

static void view_peer(const struct peer *peer, struct room *room, struct peer_view *view)
{
        view->key = peer_key_format(peer->key, room->key);
        view->endpoint = format_endpoint(peer, room->endpoint, sizeof(room->endpoint));
        view->handshake = peer->handshake_nsec / NSEC_PER_SEC;
        view->received_bytes = peer->rx_bytes;
        view->sent_bytes = peer->tx_bytes;
}

/* What WireGuard does with it, as it was read last. */
static void view_carriage(const struct peers *peers, struct room *room, struct peer_view *view)
{
        const struct carriage *table = &peers->table;
        const struct carriage_node *row = NULL;
        uint32_t carrier;

        if (peers->known && table->n_nodes > 0)
                row = bsearch(view->name, table->nodes, table->n_nodes, sizeof(*row), compare_name);
        if (!row)
                return;
        carrier = row->carriers[row->family];
        if (carrier == CARRIAGE_NONE)
                carrier = room->peer_of_node[row - table->nodes];
        view->carriage = row->steered[FAMILY_INET] || row->steered[FAMILY_INET6]
                                 ? carriage_state_name(row->seen)
                                 : "none";
        view->pod_prefixes_carried = row->pods_carried;
        if (carrier < table->n_peers)
                view_peer(&table->peers[carrier].peer, room, view);
}

static int tell_node(const struct manager *m, const struct node *node, struct room *room,
        int (*take)(void *context, const struct peer_view *peer), void *context)
{
        struct peer_view view = {
                .name = node->name,
                .control_plane = node_is_control_plane(node),
                .carriage = "unknown",
                .key = "",
                .node_key = node->public_key ? node->public_key : "",
                .endpoint = "",
        };
        int r = list_addresses(room, node);

        if (r >= 0)
                r = list_prefixes(room, node);
        if (r >= 0)
                r = list_exemptions(room, m->settings, node);
        if (r < 0)
                return r;
        view.addresses = room->address_list.items;
        view.pod_prefixes = room->prefix_list.items;
        view.exemptions = room->exemptions.items;
        view_carriage(&m->peers, room, &view);
        return take(context, &view);
}

int peer_views_tell(
        void *userdata, int (*take)(void *context, const struct peer_view *peer), void *context)
{
        const struct manager *m = userdata;
        const struct cluster *cluster = m->knowledge.cluster;
        const char *self = knowledge_node_name(&m->knowledge, m->settings->node_name);
        struct room room = {};
        int r = find_peers(&room, &m->peers.table);

        for (size_t i = 0; r >= 0 && i < cluster->n_nodes; i++)
                if (!text_equal(cluster->nodes[i]->name, self))
                        r = tell_node(m, cluster->nodes[i], &room, take, context);
        room_deinit(&room);
        return r;
}
