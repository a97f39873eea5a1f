/*
 * The manager's methods, and the one property that is no plain field of the status.
 */
#include <string.h>

#include "service/bus_internal.h"

static int append_lines(sd_bus_message *reply, const char *text)
{
        _cleanup_free_ char *copy = strdup(text);
        int r = sd_bus_message_open_container(reply, 'a', "s");
        char *rest = copy, *line;

        if (!copy)
                return -ENOMEM;
        while (r >= 0 && (line = strsep(&rest, "\n")))
                if (*line)
                        r = sd_bus_message_append(reply, "s", line);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_findings(sd_bus *connection, const char *path, const char *interface,
        const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        struct bus *bus = userdata;
        const char *findings = bus->handlers.findings(bus->handlers.userdata);

        return append_lines(reply, findings ? findings : "");
}

static int answer(sd_bus_message *call, enum bus_outcome outcome, const struct error *why,
        sd_bus_error *error)
{
        switch (outcome) {
        case BUS_DONE: return sd_bus_reply_method_return(call, NULL);
        case BUS_REFUSED: return sd_bus_error_set(error, BUS_ERROR_CONFIGURATION, why->text);
        case BUS_NOT_IN_SYNC: return sd_bus_error_set(error, BUS_ERROR_NOT_IN_SYNC, why->text);
        }
        return -EINVAL;
}

static int act_reload(struct bus *bus, sd_bus_message *call, sd_bus_error *error)
{
        struct error why = {};

        return answer(call, bus->handlers.reload(bus->handlers.userdata, &why), &why, error);
}

static int act_resync(struct bus *bus, sd_bus_message *call, sd_bus_error *error)
{
        struct error why = {};

        return answer(call, bus->handlers.resync(bus->handlers.userdata, &why), &why, error);
}

static int act_set_mode(struct bus *bus, sd_bus_message *call, sd_bus_error *error)
{
        struct error why = {};
        const char *mode;
        bool observe;
        int r = sd_bus_message_read(call, "s", &mode);

        if (r < 0)
                return r;
        observe = strcmp(mode, "observe") == 0;
        if (!observe && strcmp(mode, "enforce") != 0)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                        "\"%s\" is no mode: \"enforce\" or \"observe\".", mode);
        return answer(
                call, bus->handlers.set_mode(bus->handlers.userdata, observe, &why), &why, error);
}

static int act_get_policy(struct bus *bus, sd_bus_message *call, sd_bus_error *error)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        struct text_builder builder = {};
        _cleanup_free_ char *text = NULL;
        int r = bus->handlers.policy(bus->handlers.userdata, &builder), taken;

        taken = text_take(&builder, &text);
        if (r >= 0)
                r = taken;
        if (r >= 0)
                r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = append_lines(reply, text);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static int append_strings(sd_bus_message *reply, const char *name, const char *const *texts)
{
        int r = sd_bus_message_open_container(reply, 'e', "sv");

        if (r >= 0)
                r = sd_bus_message_append(reply, "s", name);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(reply, (char **)texts);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_peer(void *context, const struct peer_view *peer)
{
        sd_bus_message *reply = context;
        int r = sd_bus_message_open_container(reply, 'a', "{sv}");

        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}{sv}", "Name", "s", peer->name,
                        "ControlPlane", "b", (int)peer->control_plane);
        if (r >= 0)
                r = append_strings(reply, "Addresses", peer->addresses);
        if (r >= 0)
                r = append_strings(reply, "PodPrefixes", peer->pod_prefixes);
        if (r >= 0)
                r = append_strings(reply, "Exemptions", peer->exemptions);
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}", "Carriage", "s",
                        peer->carriage, "Key", "s", peer->key, "NodeKey", "s", peer->node_key,
                        "Endpoint", "s", peer->endpoint);
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}", "PodPrefixesCarried", "t",
                        peer->pod_prefixes_carried, "LastHandshake", "t", peer->handshake,
                        "ReceivedBytes", "t", peer->received_bytes, "SentBytes", "t",
                        peer->sent_bytes);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int act_list_peers(struct bus *bus, sd_bus_message *call, sd_bus_error *error)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call, &reply);

        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        if (r >= 0)
                r = bus->handlers.peers(bus->handlers.userdata, append_peer, reply);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
}

#define METHOD(name)                                                                        \
        static int method_##name(sd_bus_message *call, void *userdata, sd_bus_error *error) \
        {                                                                                   \
                return bus_privileged(userdata, call, act_##name, error);                   \
        }

METHOD(reload)
METHOD(resync)
METHOD(set_mode)
METHOD(get_policy)
METHOD(list_peers)

const sd_bus_vtable bus_methods[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Findings", "as", get_findings, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        /* Not unprivileged: bus_privileged() asks who calls, without waiting for the answer. */
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_reload,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Resync", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_resync,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetMode", SD_BUS_ARGS("s", mode), SD_BUS_NO_RESULT,
                method_set_mode, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetPolicy", SD_BUS_NO_ARGS, SD_BUS_RESULT("as", commands),
                method_get_policy, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListPeers", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", peers),
                method_list_peers, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};
