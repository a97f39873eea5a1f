#include "daemon/fight.h"

#include <string.h>

/* FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/ */
#define FNV_BASIS UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

static uint64_t mix(uint64_t hash, uint64_t value)
{
        for (unsigned shift = 0; shift < 64; shift += 8)
                hash = (hash ^ (value >> shift & 0xff)) * FNV_PRIME;
        return hash;
}

static uint64_t mix_prefix(uint64_t hash, const struct prefix *prefix)
{
        for (size_t i = 0; i < address_size(prefix->address.family); i++)
                hash = mix(hash, prefix->address.bytes[i]);
        return mix(mix(hash, prefix->address.family), prefix->length);
}

/* Field by field: what pads a struct has no value. */
static uint64_t rule_identity(const struct rule *rule)
{
        const uint64_t fields[] = {1, rule->family, rule->action, rule->priority, rule->table,
                rule->mark, rule->iif_lo, rule->ip_protocol, rule->sport.first, rule->sport.last,
                rule->dport.first, rule->dport.last};
        uint64_t hash = FNV_BASIS;

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                hash = mix(hash, fields[i]);
        return mix_prefix(mix_prefix(hash, &rule->from), &rule->to);
}

/* The key: whatever is put in its place takes ours away. */
static uint64_t route_identity(const struct route *route)
{
        const uint64_t fields[] = {2, route->family, route->table, route->metric, route->tos};
        uint64_t hash = FNV_BASIS;

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                hash = mix(hash, fields[i]);
        return mix_prefix(hash, &route->destination);
}

/* The counter of that object; NULL: another one is counted in its place. */
static struct fight_object *find(struct fight *fight, uint64_t identity, uint64_t now)
{
        struct fight_object *object = &fight->objects[identity % FIGHT_OBJECTS];
        bool is_fought_over = fight->going_on && object->times >= FIGHT_TIMES;

        if (object->times == 0 || (now - object->since >= FIGHT_WINDOW_USEC && !is_fought_over))
                *object = (struct fight_object){.identity = identity, .since = now};
        return object->identity == identity ? object : NULL;
}

enum fight_news fight_note(struct fight *fight, const struct foreign_change *change, uint64_t now)
{
        uint64_t identity =
                change->is_rule ? rule_identity(&change->rule) : route_identity(&change->route);
        struct fight_object *object = find(fight, identity, now);

        if (!object || ++object->times < FIGHT_TIMES)
                return FIGHT_NONE;
        fight->last = now;
        fight->changes++;
        if (fight->going_on)
                return FIGHT_GOES_ON;
        fight->going_on = true;
        fight->since = now;
        fight->changes = 1;
        return FIGHT_BEGINS;
}

bool fight_has_ended(struct fight *fight, uint64_t now)
{
        if (!fight->going_on || now - fight->last < FIGHT_OVER_USEC)
                return false;
        fight->going_on = false;
        memset(fight->objects, 0, sizeof(fight->objects));
        return true;
}
