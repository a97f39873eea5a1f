#include "policy/segments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "basics/array.h"

static bool same_text(const char *a, const char *b)
{
        return a == b || (a && b && strcmp(a, b) == 0);
}

/* The first exemption with the selector of this one stands for all of them. */
static size_t representative(const struct settings *settings, size_t exemption)
{
        const struct selector *selector = &settings->exemptions[exemption].selector;

        for (size_t i = 0; i < exemption; i++)
                if (same_text(settings->exemptions[i].selector.key, selector->key) &&
                        same_text(settings->exemptions[i].selector.value, selector->value))
                        return i;
        return exemption;
}

static int compare_numbers(const void *a, const void *b)
{
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return (x > y) - (x < y);
}

/* Where some range of the protocol begins, or is over; sorted. */
static int find_borders(
        const struct settings *settings, uint8_t protocol, uint32_t **ret, size_t *ret_n)
{
        uint32_t *borders = NULL;
        size_t n = 0, allocated = 0;

        for (size_t e = 0; e < settings->n_exemptions; e++) {
                const struct exemption *exemption = &settings->exemptions[e];

                if (exemption->protocol != protocol)
                        continue;
                if (!ARRAY_RESERVE(borders, allocated, n + 2 * exemption->n_ports)) {
                        free(borders);
                        return -ENOMEM;
                }
                for (size_t i = 0; i < exemption->n_ports; i++) {
                        borders[n++] = exemption->ports[i].first;
                        borders[n++] = exemption->ports[i].last + 1u;
                }
        }
        if (n > 0)
                qsort(borders, n, sizeof(*borders), compare_numbers);
        *ret = borders;
        *ret_n = n;
        return 0;
}

/* The group of exactly these exemptions, which may be new. Takes the flags over in any case. */
static int find_group(struct segments *segments, size_t n_exemptions, bool *exemptions, size_t *ret)
{
        for (size_t i = 0; i < segments->n_groups; i++) {
                if (memcmp(segments->groups[i].exemptions, exemptions, n_exemptions) == 0) {
                        free(exemptions);
                        *ret = i;
                        return 0;
                }
        }
        if (!ARRAY_RESERVE(segments->groups, segments->allocated_groups, segments->n_groups + 1)) {
                free(exemptions);
                return -ENOMEM;
        }
        *ret = segments->n_groups;
        segments->groups[segments->n_groups++] = (struct segment_group){.exemptions = exemptions};
        return 0;
}

static int add_segment(struct segments *segments, const struct segment *segment)
{
        struct segment *last = segments->n > 0 ? &segments->items[segments->n - 1] : NULL;

        if (last && last->protocol == segment->protocol && last->group == segment->group &&
                last->ports.last + 1u == segment->ports.first) {
                last->ports.last = segment->ports.last;
                return 0;
        }
        if (!ARRAY_RESERVE(segments->items, segments->allocated, segments->n + 1))
                return -ENOMEM;
        segments->items[segments->n++] = *segment;
        return 0;
}

/* Between two borders next to each other every port has the same exemptions. */
static int add_piece(struct segments *segments, const struct settings *settings, uint8_t protocol,
        const struct port_range *ports)
{
        struct segment segment = {.protocol = protocol, .ports = *ports};
        bool *exemptions = calloc(settings->n_exemptions, sizeof(*exemptions)), any = false;
        int r;

        if (!exemptions)
                return -ENOMEM;
        for (size_t e = 0; e < settings->n_exemptions; e++) {
                if (!exemption_names(&settings->exemptions[e], protocol, ports->first))
                        continue;
                exemptions[representative(settings, e)] = true;
                any = true;
        }
        if (!any) {
                free(exemptions);
                return 0;
        }
        r = find_group(segments, settings->n_exemptions, exemptions, &segment.group);
        return r < 0 ? r : add_segment(segments, &segment);
}

static int cut_protocol(
        struct segments *segments, const struct settings *settings, uint8_t protocol)
{
        uint32_t *borders;
        size_t n;
        int r = find_borders(settings, protocol, &borders, &n);

        if (r < 0)
                return r;
        for (size_t i = 1; r >= 0 && i < n; i++) {
                struct port_range ports = {(uint16_t)borders[i - 1], (uint16_t)(borders[i] - 1)};

                if (borders[i - 1] < borders[i])
                        r = add_piece(segments, settings, protocol, &ports);
        }
        free(borders);
        return r;
}

int segments_cut(const struct settings *settings, struct segments *ret)
{
        int r = 0;

        for (size_t e = 0; r >= 0 && e < settings->n_exemptions; e++) {
                uint8_t protocol = settings->exemptions[e].protocol;
                bool done = false;

                for (size_t i = 0; i < e; i++)
                        done |= settings->exemptions[i].protocol == protocol;
                if (!done)
                        r = cut_protocol(ret, settings, protocol);
        }
        if (r < 0)
                segments_deinit(ret);
        return r;
}

static bool group_selects(
        const struct segment_group *group, const struct settings *settings, const struct node *node)
{
        for (size_t e = 0; e < settings->n_exemptions; e++)
                if (group->exemptions[e] &&
                        selector_matches(&settings->exemptions[e].selector, node))
                        return true;
        return false;
}

static int add_addresses(
        struct segment_group *group, const struct node *self, const struct node *node)
{
        for (int i = 0; i < FAMILY_MAX; i++) {
                struct prefix host = prefix_from_address(&node->addresses[i]);
                int r;

                if (host.address.family == 0 || (self && node_has_address(self, &host.address)))
                        continue;
                r = prefixes_add(&group->addresses, &host);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int select_nodes(struct segment_group *group, const struct policy_input *input)
{
        const struct node *self = policy_self(input);

        for (size_t i = 0; i < input->cluster->n_nodes; i++) {
                const struct node *node = input->cluster->nodes[i];
                int r;

                if (!group_selects(group, input->settings, node))
                        continue;
                if (node == self) {
                        group->selects_self = true;
                        continue;
                }
                r = add_addresses(group, self, node);
                if (r < 0)
                        return r;
        }
        prefixes_sort(&group->addresses);
        for (size_t i = 0; i < group->addresses.n; i++)
                group->n_addresses[family_index(group->addresses.items[i].address.family)]++;
        return 0;
}

int segments_select(struct segments *segments, const struct policy_input *input)
{
        for (size_t i = 0; i < segments->n_groups; i++) {
                int r = select_nodes(&segments->groups[i], input);

                if (r < 0)
                        return r;
        }
        return 0;
}

void segments_deinit(struct segments *segments)
{
        for (size_t i = 0; i < segments->n_groups; i++) {
                free(segments->groups[i].exemptions);
                prefixes_deinit(&segments->groups[i].addresses);
        }
        free(segments->groups);
        free(segments->items);
        *segments = (struct segments){};
}
