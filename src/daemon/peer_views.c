/*
 * The other nodes as the outside is told of them.
 */
#include <string.h>

#include "basics/array.h"
#include "daemon/manager_private.h"

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
};

static void room_deinit(struct room *room)
{
        free(room->address_list.items);
        free(room->prefixes);
        free(room->prefix_list.items);
        free(room->exemptions.items);
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
        return take(context, &view);
}

int peer_views_tell(
        void *userdata, int (*take)(void *context, const struct peer_view *peer), void *context)
{
        const struct manager *m = userdata;
        const struct cluster *cluster = m->knowledge.cluster;
        const char *self = knowledge_node_name(&m->knowledge, m->settings->node_name);
        struct room room = {};
        int r = 0;

        for (size_t i = 0; r >= 0 && i < cluster->n_nodes; i++)
                if (!text_equal(cluster->nodes[i]->name, self))
                        r = tell_node(m, cluster->nodes[i], &room, take, context);
        room_deinit(&room);
        return r;
}
