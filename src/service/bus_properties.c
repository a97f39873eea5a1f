/*
 * The status as properties. Whoever adds one says it in org.nodecryptor1(5).
 */
#include <string.h>

#include "service/bus_internal.h"

#define GETTER(name)                                                                 \
        static int name(sd_bus *connection, const char *path, const char *interface, \
                const char *property, sd_bus_message *reply, void *userdata,         \
                sd_bus_error *ret_error)

/* `userdata` is the field itself: the status and the property's offset. */

GETTER(get_version)
{
        return sd_bus_message_append(reply, "s", NODECRYPTOR_VERSION);
}

GETTER(get_state)
{
        return sd_bus_message_append(reply, "s", state_name(*(const enum state *)userdata));
}

GETTER(get_mode)
{
        return sd_bus_message_append(reply, "s", *(const bool *)userdata ? "observe" : "enforce");
}

GETTER(get_knowledge)
{
        return sd_bus_message_append(
                reply, "s", knowledge_name(*(const enum knowledge_source *)userdata));
}

GETTER(get_text)
{
        return sd_bus_message_append(reply, "s", (const char *)userdata);
}

GETTER(get_bool)
{
        return sd_bus_message_append(reply, "b", *(const bool *)userdata);
}

#define FIELD(name, type, get, field, flags) \
        SD_BUS_PROPERTY((name), (type), (get), offsetof(struct status, field), (flags))
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

const sd_bus_vtable bus_properties[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        FIELD("NodeName", "s", get_text, node_name, CHANGES),
        FIELD("NodeKnown", "b", get_bool, node_known, CHANGES),
        FIELD("ControlPlane", "b", get_bool, control_plane, CHANGES),
        FIELD("Mode", "s", get_mode, observe_only, CHANGES),
        FIELD("ModeOverridden", "b", get_bool, mode_overridden, CHANGES),
        FIELD("State", "s", get_state, state, CHANGES),
        FIELD("Reason", "s", get_text, reason, CHANGES),
        FIELD("Since", "t", NULL, since, CHANGES),
        FIELD("InSync", "b", get_bool, in_sync, CHANGES),
        FIELD("LastSync", "t", NULL, last_sync, CHANGES),
        FIELD("Generation", "t", NULL, generation, CHANGES),
        FIELD("API", "s", get_text, api, CHANGES),
        FIELD("APILastContact", "t", NULL, last_contact, 0),
        FIELD("Knowledge", "s", get_knowledge, knowledge, CHANGES),
        FIELD("KnowledgeAt", "t", NULL, knowledge_at, 0),
        FIELD("SnapshotSaved", "t", NULL, snapshot_saved, 0),
        FIELD("Device", "s", get_text, device.name, CHANGES),
        FIELD("DevicePresent", "b", get_bool, device.present, CHANGES),
        FIELD("DeviceUp", "b", get_bool, device.up, CHANGES),
        FIELD("DeviceMTU", "u", NULL, device.mtu, CHANGES),
        FIELD("DeviceMark", "u", NULL, device.mark, CHANGES),
        FIELD("DeviceMarkKnown", "b", get_bool, device.mark_known, CHANGES),
        FIELD("DeviceKey", "s", get_text, device.key, CHANGES),
        FIELD("PeersKnown", "b", get_bool, peers.known, CHANGES),
        FIELD("Peers", "t", NULL, peers.peers, CHANGES),
        FIELD("PeersUnknown", "t", NULL, peers.unknown_peers, CHANGES),
        FIELD("NodesCarried", "t", NULL, peers.carried, CHANGES),
        FIELD("NodesMissing", "t", NULL, peers.missing, CHANGES),
        FIELD("NodesMismatched", "t", NULL, peers.mismatched, CHANGES),
        FIELD("NodesStale", "t", NULL, peers.stale, CHANGES),
        FIELD("NodesUndecided", "t", NULL, peers.undecided, CHANGES),
        FIELD("PeerProblems", "s", get_text, peers.problems, CHANGES),
        FIELD("Nodes", "t", NULL, counts.nodes, CHANGES),
        FIELD("ControlPlanes", "t", NULL, counts.control_planes, CHANGES),
        FIELD("PodPrefixes", "t", NULL, counts.pod_prefixes, CHANGES),
        FIELD("NodeAddresses", "t", NULL, counts.node_addresses, CHANGES),
        FIELD("Exemptions", "t", NULL, counts.exemptions, CHANGES),
        FIELD("Rules", "t", NULL, counts.rules, CHANGES),
        FIELD("Routes", "t", NULL, counts.routes, CHANGES),
        FIELD("BadObjects", "t", NULL, counts.bad_objects, CHANGES),
        FIELD("WouldMove", "t", NULL, preview.moved, CHANGES),
        FIELD("WouldBlock", "t", NULL, preview.blocked, CHANGES),
        FIELD("WouldRelease", "t", NULL, preview.released, CHANGES),
        FIELD("Preview", "s", get_text, preview.text, CHANGES),
        FIELD("LastForeignChange", "s", get_text, last_foreign_change, CHANGES),
        FIELD("LastForeignChangeAt", "t", NULL, last_foreign_change_at, CHANGES),
        FIELD("Fight", "s", get_text, fight, CHANGES),
        FIELD("HealthError", "s", get_text, health_error, CHANGES),
        FIELD("MetricsError", "s", get_text, metrics_error, CHANGES),
        SD_BUS_VTABLE_END,
};

/* How much of the field at the offset the property is made of; texts end at their zero byte. */
static bool field_equal(const sd_bus_vtable *property, const void *a, const void *b)
{
        sd_bus_property_get_t get = property->x.property.get;

        if (get == get_text)
                return strcmp(a, b) == 0;
        if (get == get_bool || get == get_mode)
                return *(const bool *)a == *(const bool *)b;
        if (get == get_state)
                return *(const enum state *)a == *(const enum state *)b;
        if (get == get_knowledge)
                return *(const enum knowledge_source *)a == *(const enum knowledge_source *)b;
        return property->x.property.signature[0] == 'u'
                       ? *(const uint32_t *)a == *(const uint32_t *)b
                       : *(const uint64_t *)a == *(const uint64_t *)b;
}

size_t bus_properties_differ(
        const struct status *a, const struct status *b, const char *ret[BUS_PROPERTIES_MAX])
{
        size_t n = 0;

        for (const sd_bus_vtable *v = bus_properties; v->type != _SD_BUS_VTABLE_END; v++) {
                size_t offset;

                if (v->type != _SD_BUS_VTABLE_PROPERTY || !(v->flags & CHANGES))
                        continue;
                offset = v->x.property.offset;
                if (n < BUS_PROPERTIES_MAX &&
                        !field_equal(v, (const char *)a + offset, (const char *)b + offset))
                        ret[n++] = v->x.property.member;
        }
        return n;
}
