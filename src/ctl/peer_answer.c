#include "ctl/peer_answer.h"

#include <string.h>

#include "ctl/bus_client.h"
#include "ctl/status_json.h"
#include "store/json.h"

static json_object *unknown(const char *name, const char *why)
{
        json_object *object = json_object_new_object();

        if (!object || json_object_object_add(object, "Name", json_object_new_string(name)) < 0 ||
                json_object_object_add(object, "Unknown", json_object_new_string(why)) < 0) {
                json_object_put(object);
                return NULL;
        }
        return object;
}

json_object *peer_answer_new(const char *name)
{
        _cleanup_(bus_client_freep) struct bus_client *client = NULL;
        _cleanup_(json_putp) json_object *peers = NULL;
        struct error error = {};
        int r = bus_client_new(&client, &error);

        if (r >= 0)
                r = bus_client_query(client, "ListPeers", &peers, &error);
        if (r < 0)
                return unknown(name, error.text);
        for (size_t i = 0;
                json_object_is_type(peers, json_type_array) && i < json_object_array_length(peers);
                i++) {
                json_object *peer = json_object_array_get_idx(peers, i);

                if (strcmp(status_text(peer, "Name"), name) == 0)
                        return json_object_get(peer);
        }
        return unknown(name, "the daemon does not know that node");
}
