#include "kube/client.h"

#include "basics/text.h"
#include "kube/credential_watch.h"
#include "kube/resolver.h"

struct kube_client {
        sd_event *event;
        struct kube_client_handlers handlers;
        char *kubeconfig;
        char *root;
        struct reflector_timings timings;
        struct credential_watch_timings credential_timings;
        struct cluster *snapshot; /* until the start */
        char *snapshot_server, *snapshot_ca;
        uint64_t snapshot_age; /* µs */
        char *node_name;
        enum doubtful_list on_doubtful_list;

        struct credential_watch *credentials;
        struct resolver *resolver;
        char *host; /* that the resolver resolves */
        struct endpoint endpoint;
        struct reflector *reflector;
};

static void on_replaced(void *userdata, struct cluster *cluster)
{
        struct kube_client *client = userdata;

        if (client->handlers.replaced)
                client->handlers.replaced(client->handlers.userdata, cluster);
        else
                cluster_free(cluster);
}

static void on_changed(void *userdata, struct node *node, const char *version)
{
        struct kube_client *client = userdata;

        if (client->handlers.changed)
                client->handlers.changed(client->handlers.userdata, node, version);
        else
                node_free(node);
}

static void on_removed(void *userdata, const char *name, const char *version)
{
        struct kube_client *client = userdata;

        if (client->handlers.removed)
                client->handlers.removed(client->handlers.userdata, name, version);
}

static void on_bookmark(void *userdata, const char *version)
{
        struct kube_client *client = userdata;

        if (client->handlers.bookmark)
                client->handlers.bookmark(client->handlers.userdata, version);
}

static void on_bad_object(void *userdata, const char *name, const struct error *error)
{
        struct kube_client *client = userdata;

        if (client->handlers.bad_object)
                client->handlers.bad_object(client->handlers.userdata, name, error);
}

static void on_state(void *userdata, enum reflector_state state, const struct error *error)
{
        struct kube_client *client = userdata;

        if (client->handlers.state)
                client->handlers.state(client->handlers.userdata, state, error);
}

static void on_reload(void *userdata)
{
        struct kube_client *client = userdata;

        if (client->credentials)
                credential_watch_refused(client->credentials);
}

static void on_unreachable(void *userdata)
{
        struct kube_client *client = userdata;

        if (client->resolver)
                resolver_refresh(client->resolver);
}

/* The endpoint's addresses, told when they are others than before. */
static void set_endpoint(
        struct kube_client *client, uint16_t port, const struct address *addresses, size_t n)
{
        struct endpoint endpoint = {.port = port};

        for (size_t i = 0; i < n; i++)
                if (endpoint_add_address(&endpoint, &addresses[i]) < 0) {
                        /* Incomplete is worse than old: an address left out would be locked out. */
                        endpoint_deinit(&endpoint);
                        return;
                }
        if (endpoint_equal(&endpoint, &client->endpoint)) {
                endpoint_deinit(&endpoint);
                return;
        }
        endpoint_deinit(&client->endpoint);
        client->endpoint = endpoint;
        if (client->handlers.endpoint)
                client->handlers.endpoint(client->handlers.userdata, &client->endpoint);
}

static void on_resolved(
        void *userdata, const struct address *addresses, size_t n, const struct error *error)
{
        struct kube_client *client = userdata;
        const struct credential *credential = kube_client_credential(client);

        if (error && client->handlers.state)
                client->handlers.state(
                        client->handlers.userdata, reflector_state(client->reflector), error);
        if (n == 0 || !credential)
                return;
        set_endpoint(client, credential->server.port, addresses, n);
        (void)reflector_set_addresses(client->reflector, addresses, n);
}

/* A resolver for the credential's host, unless there is one. */
static int follow_host(struct kube_client *client, const struct credential *credential)
{
        const char *host = credential->server.host;
        int r;

        if (client->resolver && text_equal(client->host, host))
                return 0;
        client->resolver = resolver_free(client->resolver);
        (void)reflector_set_addresses(client->reflector, NULL, 0);
        r = text_replace(&client->host, host);
        if (r < 0)
                return r;
        return resolver_new(
                client->event, host, RESOLVER_INTERVAL, on_resolved, client, &client->resolver);
}

static void on_credential(
        void *userdata, const struct credential *credential, const struct error *error)
{
        struct kube_client *client = userdata;
        struct error problem = {};

        if (credential && follow_host(client, credential) < 0) {
                error_set(&problem, -ENOMEM,
                        "the API server's name cannot be resolved: out of memory");
                error = &problem;
        }
        /* The same host at another port. */
        if (credential && client->endpoint.port > 0 &&
                client->endpoint.port != credential->server.port)
                set_endpoint(client, credential->server.port, client->endpoint.addresses,
                        client->endpoint.n_addresses);
        if (client->handlers.credential)
                client->handlers.credential(client->handlers.userdata, credential, error);
        if (!error || !credential)
                reflector_set_credential(client->reflector, credential);
}

int kube_client_new(sd_event *event, const char *kubeconfig,
        const struct kube_client_handlers *handlers, struct kube_client **ret)
{
        _cleanup_(kube_client_freep) struct kube_client *client = calloc(1, sizeof(*client));

        if (!client || text_replace(&client->kubeconfig, kubeconfig) < 0)
                return -ENOMEM;
        client->event = sd_event_ref(event);
        client->handlers = *handlers;
        client->timings = reflector_timings_default();
        client->credential_timings = credential_watch_timings_default();
        client->snapshot = cluster_new();
        if (!client->snapshot)
                return -ENOMEM;
        *ret = TAKE_PTR(client);
        return 0;
}

struct kube_client *kube_client_free(struct kube_client *client)
{
        if (!client)
                return NULL;
        reflector_free(client->reflector);
        resolver_free(client->resolver);
        credential_watch_free(client->credentials);
        endpoint_deinit(&client->endpoint);
        cluster_free(client->snapshot);
        sd_event_unref(client->event);
        free(client->snapshot_server);
        free(client->snapshot_ca);
        free(client->node_name);
        free(client->host);
        free(client->kubeconfig);
        free(client->root);
        free(client);
        return NULL;
}

void kube_client_set_timings(struct kube_client *client, const struct reflector_timings *timings)
{
        client->timings = *timings;
}

void kube_client_set_credential_timings(
        struct kube_client *client, const struct credential_watch_timings *timings)
{
        client->credential_timings = *timings;
}

int kube_client_set_root(struct kube_client *client, const char *root)
{
        return text_replace(&client->root, root);
}

int kube_client_set_snapshot(struct kube_client *client, const struct cluster *cluster,
        const struct reflector_origin *origin)
{
        struct cluster *copy = cluster_copy(cluster);

        if (!copy || text_replace(&client->snapshot_server, origin->server) < 0 ||
                text_replace(&client->snapshot_ca, origin->ca_sha256) < 0) {
                cluster_free(copy);
                return -ENOMEM;
        }
        cluster_free(client->snapshot);
        client->snapshot = copy;
        client->snapshot_age = origin->age;
        return 0;
}

int kube_client_forget(struct kube_client *client)
{
        return client->reflector ? reflector_forget(client->reflector) : 0;
}

int kube_client_set_doubt(
        struct kube_client *client, const char *node_name, enum doubtful_list on_doubtful_list)
{
        client->on_doubtful_list = on_doubtful_list;
        if (client->reflector)
                return reflector_set_doubt(client->reflector, node_name, on_doubtful_list);
        return text_replace(&client->node_name, node_name);
}

int kube_client_start(struct kube_client *client)
{
        const struct reflector_handlers handlers = {
                .userdata = client,
                .replaced = on_replaced,
                .changed = on_changed,
                .removed = on_removed,
                .bookmark = on_bookmark,
                .bad_object = on_bad_object,
                .state = on_state,
                .reload = on_reload,
                .unreachable = on_unreachable,
        };
        const struct reflector_origin origin = {
                .server = client->snapshot_server,
                .ca_sha256 = client->snapshot_ca,
                .age = client->snapshot_age,
        };
        const struct credential_watch_options options = {
                .kubeconfig = client->kubeconfig,
                .root = client->root,
                .timings = client->credential_timings,
                .changed = on_credential,
                .userdata = client,
        };
        int r;

        r = reflector_new(client->event, &client->timings, &handlers, &client->reflector);
        if (r >= 0)
                r = reflector_set_known(client->reflector, client->snapshot, &origin);
        if (r >= 0)
                r = reflector_set_doubt(
                        client->reflector, client->node_name, client->on_doubtful_list);
        client->snapshot = cluster_free(client->snapshot);
        if (r < 0)
                return r;
        return credential_watch_new(client->event, &options, &client->credentials);
}

void kube_client_resync(struct kube_client *client)
{
        if (client->reflector)
                reflector_resync(client->reflector);
}

void kube_client_reload(struct kube_client *client)
{
        if (client->credentials)
                credential_watch_check(client->credentials);
}

struct kube_client_status kube_client_status(const struct kube_client *client)
{
        const struct reflector_status *status;
        struct kube_client_status result = {.state = REFLECTOR_WAITING};

        if (!client->reflector)
                return result;
        status = reflector_status(client->reflector);
        result.state = reflector_state(client->reflector);
        result.last_contact = status->last_contact;
        result.last_data = status->last_data;
        for (size_t i = 0; i < ARRAY_SIZE(result.requests); i++)
                result.requests[i] = status->requests[i];
        for (size_t i = 0; i < ARRAY_SIZE(result.watch_restarts); i++)
                result.watch_restarts[i] = status->watch_restarts[i];
        result.lists = status->lists;
        result.streamed_lists = status->streamed_lists;
        result.checks = status->checks;
        result.watches = status->watches;
        result.events = status->events;
        result.bookmarks = status->bookmarks;
        result.bad_objects = status->bad_objects;
        return result;
}

const struct credential *kube_client_credential(const struct kube_client *client)
{
        return client->credentials ? credential_watch_get(client->credentials) : NULL;
}
