/*
 * nodecryptorctl peers: every other node, what is steered to it, and what WireGuard does with that.
 */
#include <getopt.h>
#include <string.h>
#include <time.h>

#include "basics/log.h"
#include "ctl/bus_client.h"
#include "ctl/human.h"
#include "ctl/output.h"
#include "ctl/status_json.h"
#include "ctl/verbs.h"
#include "store/json.h"

static const struct option long_options[] = {
        {"json", no_argument, NULL, 'j'},
        {},
};

static const struct table_column columns[] = {
        {.heading = "NODE", .wraps = true},
        {.heading = "ROLE", .wraps = true},
        {.heading = "ADDRESSES", .wraps = true},
        {.heading = "POD PREFIXES", .wraps = true},
        {.heading = "EXEMPT", .wraps = true},
        {.heading = "WIREGUARD"},
        {.heading = "HANDSHAKE"},
        {.heading = "RECEIVED", .right = true},
        {.heading = "SENT", .right = true},
};

/* The strings of a list, one a line. */
static void add_list(struct table *table, json_object *peer, const char *name, const char *none)
{
        struct text_builder builder = {};
        json_object *list;

        if (json_object_object_get_ex(peer, name, &list) &&
                json_object_is_type(list, json_type_array))
                for (size_t i = 0; i < json_object_array_length(list); i++)
                        text_append(&builder, "%s%s", i > 0 ? "\n" : "",
                                json_object_get_string(json_object_array_get_idx(list, i)));
        table_add(table, COLOUR_NONE, "%s", builder.text ? builder.text : none);
        table->failed |= builder.failed;
        text_deinit(&builder);
}

static void add_traffic(struct table *table, json_object *peer, uint64_t now)
{
        const char *carriage = status_text(peer, "Carriage");
        bool known = strcmp(carriage, "unknown") != 0 && strcmp(carriage, "missing") != 0;
        char text[HUMAN_TEXT_MAX];

        table_add(table,
                strcmp(carriage, "carried") == 0   ? COLOUR_GOOD
                : strcmp(carriage, "unknown") == 0 ? COLOUR_DIM
                                                   : COLOUR_BAD,
                "%s", carriage);
        table_add(table, COLOUR_NONE, "%s",
                known ? human_age(status_number(peer, "LastHandshake"), now, text) : "-");
        table_add(table, COLOUR_NONE, "%s",
                known ? human_bytes(status_number(peer, "ReceivedBytes"), text) : "-");
        table_add(table, COLOUR_NONE, "%s",
                known ? human_bytes(status_number(peer, "SentBytes"), text) : "-");
}

static int print_table(json_object *peers)
{
        struct table table = {.columns = columns, .n_columns = ARRAY_SIZE(columns)};
        uint64_t now = (uint64_t)time(NULL);
        int r;

        for (size_t i = 0; i < json_object_array_length(peers); i++) {
                json_object *peer = json_object_array_get_idx(peers, i);

                table_add(&table, COLOUR_NONE, "%s", status_text(peer, "Name"));
                table_add(&table, COLOUR_NONE, "%s",
                        status_is(peer, "ControlPlane") ? "control plane" : "worker");
                add_list(&table, peer, "Addresses", "none");
                add_list(&table, peer, "PodPrefixes", "none");
                add_list(&table, peer, "Exemptions", "-");
                add_traffic(&table, peer, now);
        }
        r = output_table(&table);
        table_deinit(&table);
        return r;
}

static int print_peers(json_object *peers, bool as_json)
{
        int r = -EBADMSG;

        if (json_object_is_type(peers, json_type_array))
                r = as_json ? output_json(peers) : print_table(peers);
        if (r < 0) {
                log_error("%s", strerror(-r));
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}

int verb_peers(int argc, char **argv)
{
        _cleanup_(json_putp) json_object *peers = NULL;
        _cleanup_(bus_client_freep) struct bus_client *client = NULL;
        struct error error = {};
        bool as_json = false;
        int option, r;

        optind = 1;
        while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
                if (option != 'j')
                        return EXIT_USAGE;
                as_json = true;
        }
        if (optind != argc) {
                log_error("peers takes no argument");
                return EXIT_USAGE;
        }
        r = bus_client_new(&client, &error);
        if (r >= 0)
                r = bus_client_query(client, "ListPeers", &peers, &error);
        if (r >= 0)
                return print_peers(peers, as_json);
        log_error("%s", error.text);
        return bus_exit_status(r);
}
