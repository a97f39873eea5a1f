#include "kernel/attribute.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <string.h>

void attribute_put_address(struct nlmsghdr *message, uint16_t type, const struct address *address)
{
        if (address->family)
                mnl_attr_put(message, type, address_size(address->family), address->bytes);
}

int attribute_get_u8(const struct nlattr *attribute, uint8_t *ret)
{
        if (mnl_attr_get_payload_len(attribute) != sizeof(*ret))
                return -EBADMSG;
        *ret = mnl_attr_get_u8(attribute);
        return 0;
}

int attribute_get_u16(const struct nlattr *attribute, uint16_t *ret)
{
        if (mnl_attr_get_payload_len(attribute) != sizeof(*ret))
                return -EBADMSG;
        *ret = mnl_attr_get_u16(attribute);
        return 0;
}

int attribute_get_u32(const struct nlattr *attribute, uint32_t *ret)
{
        if (mnl_attr_get_payload_len(attribute) != sizeof(*ret))
                return -EBADMSG;
        *ret = mnl_attr_get_u32(attribute);
        return 0;
}

int attribute_get_address(const struct nlattr *attribute, int family, struct address *ret)
{
        struct address address = {.family = (uint8_t)family};
        size_t size = address_size(family);

        if (size == 0 || mnl_attr_get_payload_len(attribute) != size)
                return -EBADMSG;
        memcpy(address.bytes, mnl_attr_get_payload(attribute), size);
        *ret = address;
        return 0;
}

bool attribute_is_new_and_none(const struct nlattr *attribute, uint16_t newest)
{
        const uint8_t *bytes = mnl_attr_get_payload(attribute);
        size_t size = mnl_attr_get_payload_len(attribute);
        uint8_t all = 0xff, any = 0;

        if (mnl_attr_get_type(attribute) <= newest || size == 0)
                return false;
        for (size_t i = 0; i < size; i++) {
                all &= bytes[i];
                any |= bytes[i];
        }
        return all == 0xff || any == 0;
}

const char *attribute_get_text(const struct nlattr *attribute)
{
        if (mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) < 0)
                return NULL;
        return mnl_attr_get_str(attribute);
}

int attribute_prefix(const struct address *address, unsigned length, struct prefix *ret)
{
        struct prefix prefix = {.address = *address, .length = (uint8_t)length};
        unsigned bits = address_bits(address->family);

        if (length > bits)
                return -EBADMSG;
        for (unsigned i = length; i < bits; i++)
                prefix.address.bytes[i / 8] &= (uint8_t) ~(0x80u >> (i % 8));
        *ret = prefix;
        return 0;
}

uint8_t attribute_table_byte(uint32_t table)
{
        return table < 256 ? (uint8_t)table : RT_TABLE_UNSPEC;
}
