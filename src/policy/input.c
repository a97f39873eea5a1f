#include "policy/input.h"

#include <stdlib.h>

bool device_has_local(const struct device *device, const struct address *address)
{
        return device->n_local > 0 && bsearch(address, device->local, device->n_local,
                                              sizeof(*address), address_compare_void);
}

struct layout policy_layout(const struct settings *settings)
{
        return (struct layout){
                .table_base = settings->table_base,
                .priority_base = settings->priority_base,
        };
}

static bool holds_address_of(const struct device *device, const struct node *node)
{
        for (int i = 0; i < FAMILY_MAX; i++)
                if (node->addresses[i].family != 0 && device_has_local(device, &node->addresses[i]))
                        return true;
        return false;
}

const struct node *policy_self(const struct policy_input *input)
{
        const struct cluster *cluster = input->cluster;
        const struct node *self = NULL;

        if (input->node_name)
                self = cluster_find(cluster, input->node_name);
        for (size_t i = 0; !self && i < cluster->n_nodes; i++)
                if (holds_address_of(input->device, cluster->nodes[i]))
                        self = cluster->nodes[i];
        return self;
}

bool policy_source(const struct policy_input *input, int family, struct address *ret)
{
        const struct device *device = input->device;
        const struct node *self = policy_self(input);
        struct address source = {};

        /* IPv6 is switched off: not even ::1. No route by the device is taken then. */
        if (family == AF_INET6 &&
                (device->n_local == 0 || device->local[device->n_local - 1].family != AF_INET6))
                return false;
        if (self)
                source = self->addresses[family_index(family)];
        /* The peers carry A(L) only: what would leave from another address, they drop. */
        if (source.family != 0 && !device_has_local(input->device, &source))
                return false;
        *ret = source;
        return true;
}

bool policy_device_usable(const struct policy_input *input, int family, struct address *ret_source)
{
        return input->device->usable && policy_source(input, family, ret_source);
}
