#include "course.h"

#include <arpa/inet.h>
#include <string.h>

#define POD_HOST 5u

static struct address from_words(int family, const uint32_t words[4])
{
        struct address address = {.family = (uint8_t)family};

        for (unsigned i = 0; i < address_size(family) / 4; i++) {
                uint32_t word = htonl(words[i]);

                memcpy(address.bytes + 4 * i, &word, sizeof(word));
        }
        return address;
}

bool course_find(const char *name, int family, uint32_t nodes, struct course *ret)
{
        const struct course courses[] = {
                {"node", AF_INET, 0, {}, 0xac100000 + nodes - 1, 1, 0},
                {"nodes", AF_INET, 0, {}, 0xac100000, nodes, 0},
                {"pod", AF_INET, 0, {}, 0x0a000000 + POD_HOST + ((nodes - 1) << 8), 1, 8},
                {"pods", AF_INET, 0, {}, 0x0a000000 + POD_HOST, nodes, 8},
                {"internet", AF_INET, 0, {}, 0x2d000000, 1u << 24, 0},
                {"node", AF_INET6, 3, {0xfd000010}, nodes, 1, 0},
                {"nodes", AF_INET6, 3, {0xfd000010}, 1, nodes, 0},
                {"pod", AF_INET6, 1, {0xfd000244, 0, 0, POD_HOST}, (nodes - 1) << 16, 1, 16},
                {"pods", AF_INET6, 1, {0xfd000244, 0, 0, POD_HOST}, 0, nodes, 16},
                {"internet", AF_INET6, 1, {0x2a000000, 0, 0, 1}, 0, 1u << 24, 0},
        };

        for (size_t i = 0; i < sizeof(courses) / sizeof(courses[0]); i++) {
                if (strcmp(courses[i].name, name) != 0 || courses[i].family != family)
                        continue;
                *ret = courses[i];
                return true;
        }
        return false;
}

struct address course_address(const struct course *course, uint32_t number)
{
        uint32_t words[4];

        memcpy(words, course->address, sizeof(words));
        words[course->word] = course->base + (number % course->count << course->shift);
        return from_words(course->family, words);
}

struct address bench_node_address(int family, uint32_t number)
{
        const uint32_t v4[4] = {0xac100000 + number}, v6[4] = {0xfd000010, 0, 0, number + 1};

        return from_words(family, family == AF_INET ? v4 : v6);
}

struct prefix bench_pod_prefix(int family, uint32_t number)
{
        struct prefix prefix = {
                .address = bench_pod_address(family, number, 0),
                .length = family == AF_INET ? 24 : 64,
        };

        return prefix;
}

struct address bench_pod_address(int family, uint32_t number, uint8_t host)
{
        const uint32_t v4[4] = {0x0a000000 + (number << 8) + host};
        const uint32_t v6[4] = {0xfd000244, number << 16, 0, host};

        return from_words(family, family == AF_INET ? v4 : v6);
}
