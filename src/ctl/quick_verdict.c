#include "ctl/quick_verdict.h"

#include <string.h>

#include "basics/array.h"

/* A prefix that a node lists: its pods', or the host prefix of an address. */
struct claim {
        struct prefix prefix;
        uint32_t node;
};

struct quick_verdict {
        struct policy_input input;
        const struct node *self;
        struct claim *claims; /* sorted by prefix, then by node */
        size_t n_claims;
        size_t allocated_claims;
        bool lengths[FAMILY_MAX][129]; /* which there are */
        uint32_t *found;               /* of the question at hand: nodes by index */
        size_t n_found;
        size_t allocated_found;
        struct cluster cluster; /* of the question at hand; nodes borrowed */
};

static int compare_claims(const void *a, const void *b)
{
        const struct claim *one = a, *other = b;
        int r = prefix_compare(&one->prefix, &other->prefix);

        return r ? r : (one->node > other->node) - (one->node < other->node);
}

static int compare_index(const void *a, const void *b)
{
        uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;

        return (one > other) - (one < other);
}

static int add_claim(struct quick_verdict *quick, const struct prefix *prefix, size_t node)
{
        if (!ARRAY_RESERVE(quick->claims, quick->allocated_claims, quick->n_claims + 1))
                return -ENOMEM;
        quick->claims[quick->n_claims++] = (struct claim){*prefix, (uint32_t)node};
        quick->lengths[family_index(prefix->address.family)][prefix->length] = true;
        return 0;
}

static int add_address(struct quick_verdict *quick, const struct address *address, size_t node)
{
        struct prefix prefix = prefix_from_address(address);

        return address->family == 0 ? 0 : add_claim(quick, &prefix, node);
}

static int add_node(struct quick_verdict *quick, const struct node *node, size_t index)
{
        int r = 0;

        for (int i = 0; r >= 0 && i < FAMILY_MAX; i++)
                r = add_address(quick, &node->addresses[i], index);
        for (size_t i = 0; r >= 0 && i < node->n_other_addresses; i++)
                r = add_address(quick, &node->other_addresses[i], index);
        for (size_t i = 0; r >= 0 && i < node->n_pod_prefixes; i++)
                r = add_claim(quick, &node->pod_prefixes[i], index);
        return r;
}

struct quick_verdict *quick_verdict_new(const struct policy_input *input)
{
        _cleanup_(quick_verdict_freep) struct quick_verdict *quick = calloc(1, sizeof(*quick));

        if (!quick)
                return NULL;
        quick->input = *input;
        quick->self = policy_self(input);
        for (size_t i = 0; i < input->cluster->n_nodes; i++)
                if (add_node(quick, input->cluster->nodes[i], i) < 0)
                        return NULL;
        if (quick->n_claims > 0)
                qsort(quick->claims, quick->n_claims, sizeof(*quick->claims), compare_claims);
        return TAKE_PTR(quick);
}

struct quick_verdict *quick_verdict_free(struct quick_verdict *quick)
{
        if (!quick)
                return NULL;
        free(quick->claims);
        free(quick->found);
        free(quick->cluster.nodes);
        free(quick);
        return NULL;
}

static struct prefix prefix_around(const struct address *address, unsigned length)
{
        struct prefix prefix = {*address, (uint8_t)length};

        for (size_t i = 0; i < sizeof(prefix.address.bytes); i++) {
                unsigned kept = length > i * 8 ? length - (unsigned)i * 8 : 0;

                if (kept < 8)
                        prefix.address.bytes[i] &= (uint8_t)(0xff00u >> kept);
        }
        return prefix;
}

/* The first claim of that very prefix; n_claims: none. */
static size_t find_claim(const struct quick_verdict *quick, const struct prefix *prefix)
{
        size_t low = 0, high = quick->n_claims;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (prefix_compare(&quick->claims[middle].prefix, prefix) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < quick->n_claims && prefix_equal(&quick->claims[low].prefix, prefix)
                       ? low
                       : quick->n_claims;
}

static int gather(struct quick_verdict *quick, const struct address *address)
{
        int family = family_index(address->family);

        quick->n_found = 0;
        for (unsigned length = 0; family >= 0 && length <= address_bits(address->family);
                length++) {
                struct prefix prefix;

                if (!quick->lengths[family][length])
                        continue;
                prefix = prefix_around(address, length);
                for (size_t i = find_claim(quick, &prefix);
                        i < quick->n_claims && prefix_equal(&quick->claims[i].prefix, &prefix);
                        i++) {
                        if (!ARRAY_RESERVE(
                                    quick->found, quick->allocated_found, quick->n_found + 1))
                                return -ENOMEM;
                        quick->found[quick->n_found++] = quick->claims[i].node;
                }
        }
        return 0;
}

static int put_node(struct quick_verdict *quick, const struct node *node)
{
        struct cluster *cluster = &quick->cluster;

        if (!ARRAY_RESERVE(cluster->nodes, cluster->allocated, cluster->n_nodes + 1))
                return -ENOMEM;
        cluster->nodes[cluster->n_nodes++] = (struct node *)node;
        return 0;
}

/* The nodes that were found and ourselves, by name as the whole cluster is. */
static int gather_cluster(struct quick_verdict *quick)
{
        struct node *const *nodes = quick->input.cluster->nodes;
        const struct node *self = quick->self;
        int r = 0;

        quick->cluster.n_nodes = 0;
        if (quick->n_found > 0)
                qsort(quick->found, quick->n_found, sizeof(*quick->found), compare_index);
        for (size_t i = 0; r >= 0 && i < quick->n_found; i++) {
                const struct node *node = nodes[quick->found[i]];

                if (i > 0 && quick->found[i] == quick->found[i - 1])
                        continue;
                if (self && strcmp(self->name, node->name) < 0) {
                        r = put_node(quick, self);
                        self = NULL;
                }
                if (r >= 0 && node != quick->self)
                        r = put_node(quick, node);
        }
        return r >= 0 && self ? put_node(quick, self) : r;
}

int quick_verdict_ask(struct quick_verdict *quick, const struct flow *flow, struct verdict *ret)
{
        struct policy_input input = quick->input;
        int r = gather(quick, &flow->destination);

        if (r >= 0)
                r = gather_cluster(quick);
        if (r < 0)
                return r;
        input.cluster = &quick->cluster;
        input.node_name = quick->self ? quick->self->name : NULL;
        *ret = policy_verdict(&input, flow);
        return 0;
}

const struct node *quick_verdict_owner(
        struct quick_verdict *quick, const struct address *address, uint32_t *ret_index)
{
        /* The longest prefix comes last. */
        if (gather(quick, address) < 0)
                return NULL;
        for (size_t i = quick->n_found; i-- > 0;) {
                const struct node *node = quick->input.cluster->nodes[quick->found[i]];

                if (node == quick->self)
                        return NULL;
                *ret_index = quick->found[i];
                return node;
        }
        return NULL;
}

const struct node *quick_verdict_self(const struct quick_verdict *quick)
{
        return quick->self;
}
