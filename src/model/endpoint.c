#include "model/endpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static bool is_loopback(const struct address *address)
{
        static const uint8_t loopback6[16] = {[15] = 1};

        if (address->family == AF_INET)
                return address->bytes[0] == 127;
        return memcmp(address->bytes, loopback6, sizeof(loopback6)) == 0;
}

int endpoint_add_address(struct endpoint *endpoint, const struct address *address)
{
        struct address *grown;

        if (is_loopback(address) || endpoint_has_address(endpoint, address))
                return 0;
        grown = reallocarray(endpoint->addresses, endpoint->n_addresses + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        grown[endpoint->n_addresses++] = *address;
        endpoint->addresses = grown;
        qsort(grown, endpoint->n_addresses, sizeof(*grown), address_compare_void);
        return 1;
}

bool endpoint_has_address(const struct endpoint *endpoint, const struct address *address)
{
        for (size_t i = 0; i < endpoint->n_addresses; i++)
                if (address_equal(&endpoint->addresses[i], address))
                        return true;
        return false;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
        if (a->port != b->port || a->n_addresses != b->n_addresses)
                return false;
        for (size_t i = 0; i < a->n_addresses; i++)
                if (!address_equal(&a->addresses[i], &b->addresses[i]))
                        return false;
        return true;
}

int endpoint_copy(const struct endpoint *endpoint, struct endpoint *ret)
{
        struct endpoint copy = {.port = endpoint->port};

        for (size_t i = 0; i < endpoint->n_addresses; i++) {
                if (endpoint_add_address(&copy, &endpoint->addresses[i]) < 0) {
                        endpoint_deinit(&copy);
                        return -ENOMEM;
                }
        }
        *ret = copy;
        return 0;
}

void endpoint_deinit(struct endpoint *endpoint)
{
        free(endpoint->addresses);
        *endpoint = (struct endpoint){};
}
