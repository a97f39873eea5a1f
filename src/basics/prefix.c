#include "basics/prefix.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "basics/sort.h"
#include "basics/text.h"

int family_index(int family)
{
        switch (family) {
        case AF_INET: return FAMILY_INET;
        case AF_INET6: return FAMILY_INET6;
        default: return -1;
        }
}

int family_from_index(enum family_index index)
{
        return index == FAMILY_INET ? AF_INET : AF_INET6;
}

size_t address_size(int family)
{
        return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

unsigned address_bits(int family)
{
        return (unsigned)address_size(family) * 8;
}

int address_parse(const char *text, struct address *ret)
{
        struct address parsed = {};

        parsed.family = strchr(text, ':') ? AF_INET6 : AF_INET;
        if (inet_pton(parsed.family, text, parsed.bytes) != 1)
                return -EINVAL;
        *ret = parsed;
        return 0;
}

const char *address_format(const struct address *address, char buffer[static ADDRESS_TEXT_MAX])
{
        if (!address_size(address->family) ||
                !inet_ntop(address->family, address->bytes, buffer, ADDRESS_TEXT_MAX))
                snprintf(buffer, ADDRESS_TEXT_MAX, "none");
        return buffer;
}

/* Where large tables are sorted, a memcmp(3) of a few bytes is most of the work. */
static int compare_u32(const uint8_t *a, const uint8_t *b)
{
        uint32_t x, y;

        memcpy(&x, a, sizeof(x));
        memcpy(&y, b, sizeof(y));
        return (be32toh(x) > be32toh(y)) - (be32toh(x) < be32toh(y));
}

static int compare_u64(const uint8_t *a, const uint8_t *b)
{
        uint64_t x, y;

        memcpy(&x, a, sizeof(x));
        memcpy(&y, b, sizeof(y));
        return (be64toh(x) > be64toh(y)) - (be64toh(x) < be64toh(y));
}

int address_compare(const struct address *a, const struct address *b)
{
        int r;

        if (a->family != b->family)
                return a->family < b->family ? -1 : 1;
        switch (a->family) {
        case AF_INET: return compare_u32(a->bytes, b->bytes);
        case AF_INET6:
                r = compare_u64(a->bytes, b->bytes);
                return r != 0 ? r : compare_u64(a->bytes + 8, b->bytes + 8);
        default: return 0;
        }
}

bool address_equal(const struct address *a, const struct address *b)
{
        return address_compare(a, b) == 0;
}

bool address_is_special(const struct address *address)
{
        struct prefix host = prefix_from_address(address);

        return prefix_overlaps_special(&host);
}

/* Clears the bits behind `length`; true when none was set. */
static bool clear_host_bits(struct address *address, unsigned length)
{
        bool clean = true;

        for (size_t i = 0; i < address_size(address->family); i++) {
                unsigned kept = length > i * 8 ? length - (unsigned)i * 8 : 0;
                uint8_t mask = kept >= 8 ? 0xff : (uint8_t)(0xff00 >> kept);

                if (address->bytes[i] & (uint8_t)~mask)
                        clean = false;
                address->bytes[i] &= mask;
        }
        return clean;
}

int prefix_parse(const char *text, struct prefix *ret)
{
        const char *slash = strchr(text, '/');
        char address_text[ADDRESS_TEXT_MAX];
        struct prefix parsed = {};
        uint64_t length;
        int r;

        if (!slash) {
                r = address_parse(text, &parsed.address);
                if (r < 0)
                        return r;
                *ret = prefix_from_address(&parsed.address);
                return 0;
        }
        if ((size_t)(slash - text) >= sizeof(address_text))
                return -EINVAL;
        memcpy(address_text, text, (size_t)(slash - text));
        address_text[slash - text] = '\0';

        r = address_parse(address_text, &parsed.address);
        if (r < 0)
                return r;
        if (text_to_uint(slash + 1, address_bits(parsed.address.family), &length) < 0)
                return -EINVAL;
        parsed.length = (uint8_t)length;
        if (!clear_host_bits(&parsed.address, parsed.length))
                return -EADDRNOTAVAIL;
        *ret = parsed;
        return 0;
}

const char *prefix_format(const struct prefix *prefix, char buffer[static PREFIX_TEXT_MAX])
{
        char text[ADDRESS_TEXT_MAX];

        snprintf(buffer, PREFIX_TEXT_MAX, "%s/%u", address_format(&prefix->address, text),
                prefix->length);
        return buffer;
}

struct prefix prefix_from_address(const struct address *address)
{
        return (struct prefix){
                .address = *address,
                .length = (uint8_t)address_bits(address->family),
        };
}

int prefix_compare(const struct prefix *a, const struct prefix *b)
{
        int r = address_compare(&a->address, &b->address);

        return r != 0 ? r : (int)a->length - (int)b->length;
}

bool prefix_equal(const struct prefix *a, const struct prefix *b)
{
        return prefix_compare(a, b) == 0;
}

bool prefix_contains(const struct prefix *prefix, const struct address *address)
{
        unsigned whole = prefix->length / 8, rest = prefix->length % 8;

        if (prefix->address.family != address->family || !address_size(address->family))
                return false;
        if (memcmp(prefix->address.bytes, address->bytes, whole) != 0)
                return false;
        if (rest == 0)
                return true;
        return ((prefix->address.bytes[whole] ^ address->bytes[whole]) >> (8 - rest)) == 0;
}

bool prefix_covers(const struct prefix *outer, const struct prefix *inner)
{
        return outer->length <= inner->length && prefix_contains(outer, &inner->address);
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
        return prefix_covers(a, b) || prefix_covers(b, a);
}

bool prefix_overlaps_special(const struct prefix *prefix)
{
        static const char *const texts[] = {
                "0.0.0.0/8",
                "127.0.0.0/8",
                "169.254.0.0/16",
                "224.0.0.0/3",
                "::/127",
                "::ffff:0:0/96",
                "fe80::/10",
                "ff00::/8",
        };

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                struct prefix special;

                if (prefix_parse(texts[i], &special) >= 0 && prefix_overlaps(&special, prefix))
                        return true;
        }
        return false;
}

int address_compare_void(const void *a, const void *b)
{
        return address_compare(a, b);
}

int prefix_compare_void(const void *a, const void *b)
{
        return prefix_compare(a, b);
}

size_t prefix_sort_unique(struct prefix *prefixes, size_t n)
{
        size_t kept = 0;

        sort_runs(prefixes, n, sizeof(*prefixes), prefix_compare_void);
        for (size_t i = 0; i < n; i++)
                if (kept == 0 || !prefix_equal(&prefixes[kept - 1], &prefixes[i]))
                        prefixes[kept++] = prefixes[i];
        return kept;
}
