/*
 * The API client alone, for run.py: prints one JSON object a line for every handler call.
 *
 *     reflect [--kubeconfig PATH | --root FOLDER] [--node NAME] [--believe]
 *             [--snapshot FILE [--snapshot-server URL] [--snapshot-ca SHA256]
 *              [--snapshot-age SECONDS]] [--set NAME=MILLISECONDS]…
 *
 * Standard input takes the words "resync", "reload", "status" (prints one more line) and "quit".
 */
#include <getopt.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "basics/backoff.h"
#include "basics/text.h"
#include "kube/client.h"
#include "kube/node_list.h"

struct program {
        sd_event *event;
        struct kube_client *client;
        char input[256];
        size_t input_length;
};

static struct json_object *begin(const char *event)
{
        struct json_object *line = json_object_new_object();

        json_object_object_add(line, "event", json_object_new_string(event));
        return line;
}

static void add_text(struct json_object *line, const char *key, const char *text)
{
        json_object_object_add(line, key, text ? json_object_new_string(text) : NULL);
}

static void add_number(struct json_object *line, const char *key, uint64_t number)
{
        json_object_object_add(line, key, json_object_new_int64((int64_t)number));
}

static void end(struct json_object *line)
{
        puts(json_object_to_json_string_ext(line, JSON_C_TO_STRING_PLAIN));
        fflush(stdout);
        json_object_put(line);
}

static struct json_object *node_object(const struct node *node)
{
        struct json_object *object = json_object_new_object();
        struct json_object *addresses = json_object_new_array(),
                           *prefixes = json_object_new_array();
        char text[PREFIX_TEXT_MAX];

        add_text(object, "name", node->name);
        for (size_t i = 0; i < FAMILY_MAX; i++)
                if (node->addresses[i].family)
                        json_object_array_add(addresses,
                                json_object_new_string(address_format(&node->addresses[i], text)));
        for (size_t i = 0; i < node->n_pod_prefixes; i++)
                json_object_array_add(prefixes,
                        json_object_new_string(prefix_format(&node->pod_prefixes[i], text)));
        json_object_object_add(object, "addresses", addresses);
        json_object_object_add(object, "prefixes", prefixes);
        add_text(object, "key", node->public_key);
        return object;
}

static void on_credential(
        void *userdata, const struct credential *credential, const struct error *error)
{
        struct json_object *line = begin("credential");

        json_object_object_add(line, "usable", json_object_new_boolean(credential != NULL));
        add_text(line, "node", credential ? credential->node_name : NULL);
        add_text(line, "server", credential ? credential->server.text : NULL);
        add_text(line, "error", error ? error->text : NULL);
        end(line);
}

static void on_endpoint(void *userdata, const struct endpoint *endpoint)
{
        struct json_object *line = begin("endpoint"), *addresses = json_object_new_array();
        char text[ADDRESS_TEXT_MAX];

        add_number(line, "port", endpoint->port);
        for (size_t i = 0; i < endpoint->n_addresses; i++)
                json_object_array_add(addresses,
                        json_object_new_string(address_format(&endpoint->addresses[i], text)));
        json_object_object_add(line, "addresses", addresses);
        end(line);
}

static void on_replaced(void *userdata, struct cluster *cluster)
{
        struct json_object *line = begin("replaced"), *nodes = json_object_new_array();

        for (size_t i = 0; i < cluster->n_nodes; i++)
                json_object_array_add(nodes, node_object(cluster->nodes[i]));
        add_text(line, "version", cluster->version);
        json_object_object_add(line, "nodes", nodes);
        end(line);
        cluster_free(cluster);
}

static void on_changed(void *userdata, struct node *node, const char *version)
{
        struct json_object *line = begin("changed");

        json_object_object_add(line, "node", node_object(node));
        add_text(line, "version", version);
        end(line);
        node_free(node);
}

static void on_removed(void *userdata, const char *name, const char *version)
{
        struct json_object *line = begin("removed");

        add_text(line, "name", name);
        add_text(line, "version", version);
        end(line);
}

static void on_bookmark(void *userdata, const char *version)
{
        struct json_object *line = begin("bookmark");

        add_text(line, "version", version);
        end(line);
}

static void on_bad_object(void *userdata, const char *name, const struct error *error)
{
        struct json_object *line = begin("bad_object");

        add_text(line, "name", name);
        add_text(line, "error", error->text);
        end(line);
}

static void on_state(void *userdata, enum reflector_state state, const struct error *error)
{
        struct json_object *line = begin("state");

        add_text(line, "state", reflector_state_name(state));
        add_text(line, "error", error ? error->text : NULL);
        end(line);
}

static void print_status(struct program *program)
{
        struct kube_client_status status = kube_client_status(program->client);
        struct json_object *line = begin("status"), *requests = json_object_new_array();

        add_text(line, "state", reflector_state_name(status.state));
        add_number(line, "last_contact", status.last_contact);
        add_number(line, "last_data", status.last_data);
        for (size_t i = 0; i < ARRAY_SIZE(status.requests); i++)
                json_object_array_add(requests, json_object_new_int64((int64_t)status.requests[i]));
        json_object_object_add(line, "requests", requests);
        add_number(line, "lists", status.lists);
        add_number(line, "streamed_lists", status.streamed_lists);
        add_number(line, "checks", status.checks);
        add_number(line, "watches", status.watches);
        add_number(line, "events", status.events);
        add_number(line, "bookmarks", status.bookmarks);
        add_number(line, "bad_objects", status.bad_objects);
        end(line);
}

static void obey(struct program *program, const char *word)
{
        if (strcmp(word, "resync") == 0)
                kube_client_resync(program->client);
        else if (strcmp(word, "reload") == 0)
                kube_client_reload(program->client);
        else if (strcmp(word, "status") == 0)
                print_status(program);
        else if (strcmp(word, "quit") == 0)
                sd_event_exit(program->event, 0);
}

static int on_input(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        struct program *program = userdata;
        ssize_t n = read(fd, program->input + program->input_length,
                sizeof(program->input) - 1 - program->input_length);
        char *newline;

        if (n <= 0)
                return sd_event_exit(program->event, 0);
        program->input_length += (size_t)n;
        program->input[program->input_length] = '\0';
        while ((newline = strchr(program->input, '\n'))) {
                *newline = '\0';
                obey(program, program->input);
                program->input_length -= (size_t)(newline + 1 - program->input);
                memmove(program->input, newline + 1, program->input_length + 1);
        }
        return 0;
}

/* Compressed time: what is minutes in the field is tenths of a second here. */
static struct reflector_timings test_timings(void)
{
        struct reflector_timings timings = reflector_timings_default();

        timings.backoff_initial = 50 * USEC_PER_MSEC;
        timings.backoff_maximum = 400 * USEC_PER_MSEC;
        /* What the cases count are plain lists unless they say otherwise. */
        timings.stream_lists = false;
        return timings;
}

static int set_timing(struct reflector_timings *timings, char *assignment)
{
        const struct {
                const char *name;
                uint64_t *value;
        } delays[] = {
                {"backoff_initial", &timings->backoff_initial},
                {"backoff_maximum", &timings->backoff_maximum},
                {"watch_grace", &timings->watch_grace},
                {"watchdog", &timings->watchdog},
                {"short_watch", &timings->short_watch},
                {"list_timeout", &timings->list_timeout},
                {"stream_idle", &timings->stream_idle},
                {"stream_retry_after", &timings->stream_retry_after},
                {"start_per_node", &timings->start_per_node},
                {"start_maximum", &timings->start_maximum},
        };
        char *value = strchr(assignment, '=');
        uint64_t number;

        if (!value || text_to_uint(value + 1, UINT32_MAX, &number) < 0)
                return -EINVAL;
        *value = '\0';
        for (size_t i = 0; i < ARRAY_SIZE(delays); i++)
                if (strcmp(assignment, delays[i].name) == 0) {
                        *delays[i].value = number * USEC_PER_MSEC;
                        return 0;
                }
        if (strcmp(assignment, "watch_timeout") == 0)
                timings->watch_timeout_min = timings->watch_timeout_max = (unsigned)number;
        else if (strcmp(assignment, "page_limit") == 0)
                timings->page_limit = number;
        else if (strcmp(assignment, "stream_lists") == 0)
                timings->stream_lists = number > 0;
        else if (strcmp(assignment, "silent_check") == 0)
                timings->silent_check = (unsigned)number;
        else if (strcmp(assignment, "silent_watches") == 0)
                timings->silent_watches = (unsigned)number;
        else
                return -EINVAL;
        return 0;
}

struct options {
        const char *kubeconfig, *root, *snapshot, *node;
        enum doubtful_list on_doubtful_list;
        struct reflector_origin origin;
        struct reflector_timings timings;
        struct credential_watch_timings credential_timings;
};

static int parse_options(int argc, char **argv, struct options *options)
{
        static const struct option names[] = {
                {"kubeconfig", required_argument, NULL, 'k'},
                {"root", required_argument, NULL, 'r'},
                {"snapshot", required_argument, NULL, 'n'},
                {"snapshot-server", required_argument, NULL, 'S'},
                {"snapshot-ca", required_argument, NULL, 'C'},
                {"snapshot-age", required_argument, NULL, 'A'},
                {"plugin-timeout", required_argument, NULL, 'P'},
                {"node", required_argument, NULL, 'o'},
                {"believe", no_argument, NULL, 'b'},
                {"set", required_argument, NULL, 's'},
                {},
        };
        uint64_t number;
        int c;

        options->timings = test_timings();
        options->credential_timings = credential_watch_timings_default();
        options->credential_timings.retry = 100 * USEC_PER_MSEC;
        while ((c = getopt_long(argc, argv, "", names, NULL)) >= 0) {
                if (c == 'k')
                        options->kubeconfig = optarg;
                else if (c == 'r')
                        options->root = optarg;
                else if (c == 'n')
                        options->snapshot = optarg;
                else if (c == 'S')
                        options->origin.server = optarg;
                else if (c == 'C')
                        options->origin.ca_sha256 = optarg;
                else if (c == 'A' && text_to_uint(optarg, UINT32_MAX, &number) >= 0)
                        options->origin.age = number * USEC_PER_SEC;
                else if (c == 'P' && text_to_uint(optarg, UINT32_MAX, &number) >= 0)
                        options->credential_timings.plugin = number * USEC_PER_MSEC;
                else if (c == 'o')
                        options->node = optarg;
                else if (c == 'b')
                        options->on_doubtful_list = DOUBTFUL_LIST_BELIEVE;
                else if (c != 's' || set_timing(&options->timings, optarg) < 0)
                        return -EINVAL;
        }
        return optind == argc ? 0 : -EINVAL;
}

static int prepare(struct program *program, const struct options *options)
{
        const struct kube_client_handlers handlers = {
                .userdata = program,
                .credential = on_credential,
                .endpoint = on_endpoint,
                .replaced = on_replaced,
                .changed = on_changed,
                .removed = on_removed,
                .bookmark = on_bookmark,
                .bad_object = on_bad_object,
                .state = on_state,
        };
        _cleanup_(cluster_freep) struct cluster *snapshot = NULL;
        struct error error = {};
        int r;

        r = kube_client_new(program->event, options->kubeconfig, &handlers, &program->client);
        if (r < 0)
                return r;
        kube_client_set_timings(program->client, &options->timings);
        kube_client_set_credential_timings(program->client, &options->credential_timings);
        r = kube_client_set_doubt(program->client, options->node, options->on_doubtful_list);
        if (r >= 0)
                r = kube_client_set_root(program->client, options->root);
        if (r >= 0 && options->snapshot) {
                r = node_list_load(options->snapshot, NULL, NULL, &snapshot, &error);
                if (r >= 0)
                        r = kube_client_set_snapshot(program->client, snapshot, &options->origin);
                else
                        fprintf(stderr, "%s\n", error.text);
        }
        return r < 0 ? r : kube_client_start(program->client);
}

static int add_sources(struct program *program)
{
        sigset_t signals;
        int r;

        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        r = sd_event_add_signal(program->event, NULL, SIGTERM, NULL, NULL);
        if (r < 0)
                return r;
        return sd_event_add_io(program->event, NULL, STDIN_FILENO, EPOLLIN, on_input, program);
}

int main(int argc, char **argv)
{
        struct program program = {};
        struct options options = {};
        int r;

        if (parse_options(argc, argv, &options) < 0) {
                fprintf(stderr, "reflect: wrong options\n");
                return 2;
        }
        r = sd_event_new(&program.event);
        if (r >= 0)
                r = add_sources(&program);
        if (r >= 0)
                r = prepare(&program, &options);
        if (r >= 0)
                r = sd_event_loop(program.event);
        kube_client_free(program.client);
        sd_event_unref(program.event);
        if (r < 0)
                fprintf(stderr, "reflect: %s\n", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
