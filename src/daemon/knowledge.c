#include "daemon/knowledge.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "basics/backoff.h"

int knowledge_init(struct knowledge *knowledge, const char *state_directory)
{
        uint64_t seed = 0;

        *knowledge = (struct knowledge){.cluster = cluster_new()};
        (void)!getrandom(&seed, sizeof(seed), GRND_NONBLOCK);
        claims_init(&knowledge->claims, seed);
        if (asprintf(&knowledge->path, "%s/%s", state_directory, SNAPSHOT_FILE) < 0)
                knowledge->path = NULL;
        if (knowledge->cluster && knowledge->path)
                return 0;
        knowledge_deinit(knowledge);
        return -ENOMEM;
}

void knowledge_deinit(struct knowledge *knowledge)
{
        node_changes_clear(&knowledge->changes);
        claims_deinit(&knowledge->claims);
        cluster_free(knowledge->cluster);
        endpoint_deinit(&knowledge->endpoint);
        identity_deinit(&knowledge->identity);
        free(knowledge->credential_name);
        free(knowledge->snapshot_name);
        free(knowledge->path);
        *knowledge = (struct knowledge){};
}

const char *knowledge_node_name(const struct knowledge *knowledge, const char *configured)
{
        if (configured)
                return configured;
        return knowledge->credential_name ? knowledge->credential_name : knowledge->snapshot_name;
}

/* Sets the unusable snapshot aside, so that the next start does not meet it again. */
static int set_aside(struct knowledge *knowledge, int code, struct error *error)
{
        int r = snapshot_set_aside(knowledge->path);

        if (r < 0)
                return error_set(error, code, "%s (and it could not be set aside: %s)", error->text,
                        strerror(-r));
        return code;
}

/* A version is worth something only where it comes from, to the letter. */
static bool is_exactly(const struct identity *a, const struct identity *b)
{
        return text_equal(a->server, b->server) && text_equal(a->ca_sha256, b->ca_sha256);
}

/* Another set of nodes: nothing that was counted in the old one holds. */
static void take_cluster(struct knowledge *knowledge, struct cluster *cluster)
{
        cluster_free(knowledge->cluster);
        knowledge->cluster = cluster;
        claims_deinit(&knowledge->claims);
        node_changes_clear(&knowledge->changes);
        knowledge->changes.incomplete = true;
}

int knowledge_load(struct knowledge *knowledge, struct error *error)
{
        struct snapshot snapshot = {};
        int r = snapshot_read(knowledge->path, &snapshot, error);

        if (r == -ENOENT)
                return 0;
        if (r == -EBADMSG || r == -EPROTONOSUPPORT)
                return set_aside(knowledge, r, error);
        if (r < 0)
                return r;
        if (!identity_same(&snapshot.identity, &knowledge->identity)) {
                error_set(error, -EXDEV, "%s is of another cluster (%s)", knowledge->path,
                        snapshot.identity.server);
                snapshot_deinit(&snapshot);
                return set_aside(knowledge, -EXDEV, error);
        }

        take_cluster(knowledge, TAKE_PTR(snapshot.cluster));
        if ((knowledge->identity.server || knowledge->identity.ca_sha256) &&
                !is_exactly(&snapshot.identity, &knowledge->identity))
                (void)cluster_set_version(knowledge->cluster, NULL);
        if (knowledge->endpoint.port == 0) {
                endpoint_deinit(&knowledge->endpoint);
                knowledge->endpoint = snapshot.endpoint;
                snapshot.endpoint = (struct endpoint){};
        }
        if (!knowledge->identity.server && !knowledge->identity.ca_sha256) {
                identity_deinit(&knowledge->identity);
                knowledge->identity = snapshot.identity;
                snapshot.identity = (struct identity){};
        }
        free(knowledge->snapshot_name);
        knowledge->snapshot_name = TAKE_PTR(snapshot.node_name);
        knowledge->saved_at = snapshot.saved_at;
        knowledge->source = KNOWLEDGE_SNAPSHOT;
        snapshot_deinit(&snapshot);
        return 1;
}

int knowledge_set_credential(struct knowledge *knowledge, const struct credential *credential)
{
        char hash[CREDENTIAL_HASH_TEXT];
        struct identity borrowed = {.server = credential->server.text};
        struct identity identity = {};
        bool same;
        int r;

        memcpy(hash, credential->ca_sha256, sizeof(hash));
        borrowed.ca_sha256 = *hash ? hash : NULL;
        r = identity_copy(&borrowed, &identity);
        if (r >= 0)
                r = text_replace(&knowledge->credential_name, credential->node_name);
        if (r < 0) {
                identity_deinit(&identity);
                return r;
        }
        same = identity_same(&identity, &knowledge->identity);
        if (!is_exactly(&identity, &knowledge->identity))
                (void)cluster_set_version(knowledge->cluster, NULL);
        if (!same)
                knowledge->unsaved = knowledge->unsaved_version = false;
        identity_deinit(&knowledge->identity);
        knowledge->identity = identity;
        return same ? 0 : -EXDEV;
}

int knowledge_set_endpoint(struct knowledge *knowledge, const struct endpoint *endpoint)
{
        struct endpoint copy;

        if (endpoint_equal(&knowledge->endpoint, endpoint))
                return 0;
        if (endpoint_copy(endpoint, &copy) < 0)
                return -ENOMEM;
        endpoint_deinit(&knowledge->endpoint);
        knowledge->endpoint = copy;
        knowledge->unsaved = true;
        return 1;
}

static void learned(struct knowledge *knowledge, bool changed)
{
        if (knowledge->source != KNOWLEDGE_API)
                changed = true;
        knowledge->source = KNOWLEDGE_API;
        knowledge->unsaved |= changed;
        knowledge->unsaved_version = true;
}

int knowledge_replace(struct knowledge *knowledge, struct cluster *cluster)
{
        bool changed = !cluster_equal(knowledge->cluster, cluster);

        take_cluster(knowledge, cluster);
        knowledge->complete = true;
        learned(knowledge, changed);
        return changed;
}

static void changed_node(struct knowledge *knowledge, struct node *before, struct node *after)
{
        claims_change(&knowledge->claims, before, after);
        node_changes_add(&knowledge->changes, before, after);
}

int knowledge_put(struct knowledge *knowledge, struct node *node, const char *version)
{
        struct node *before = cluster_find(knowledge->cluster, node->name);
        int r;

        if (before)
                node_ref(before);
        r = cluster_put(knowledge->cluster, node);
        if (r > 0)
                changed_node(knowledge, before, node);
        if (r > 0 && !before)
                r = KNOWLEDGE_JOINED;
        node_free(before);
        if (r < 0)
                return r;
        learned(knowledge, r > 0);
        knowledge_bookmark(knowledge, version);
        return r;
}

int knowledge_remove(struct knowledge *knowledge, const char *name, const char *version)
{
        struct node *before = cluster_find(knowledge->cluster, name);
        int r = 0;

        if (before) {
                changed_node(knowledge, before, NULL);
                r = cluster_remove(knowledge->cluster, name);
        }
        learned(knowledge, r > 0);
        knowledge_bookmark(knowledge, version);
        return r;
}

void knowledge_bookmark(struct knowledge *knowledge, const char *version)
{
        /* Out of memory: the older version stands, and the next watch begins a little earlier. */
        if (cluster_set_version(knowledge->cluster, version) >= 0)
                knowledge->unsaved_version = true;
}

bool knowledge_confirm(struct knowledge *knowledge)
{
        if (knowledge->source != KNOWLEDGE_SNAPSHOT)
                return false;
        knowledge->source = KNOWLEDGE_API;
        knowledge->unsaved_version = true;
        return true;
}

void knowledge_applied(struct knowledge *knowledge)
{
        node_changes_clear(&knowledge->changes);
}

void knowledge_count(struct knowledge *knowledge)
{
        if (!knowledge->claims.complete)
                (void)claims_count(&knowledge->claims, knowledge->cluster);
}

uint64_t knowledge_age(const struct knowledge *knowledge, uint64_t now)
{
        if (knowledge->source != KNOWLEDGE_SNAPSHOT || knowledge->saved_at > now)
                return UINT64_MAX;
        return (now - knowledge->saved_at) * USEC_PER_SEC;
}

int knowledge_save(struct knowledge *knowledge, const char *node_name, struct error *error)
{
        struct snapshot snapshot = {
                .identity = knowledge->identity,
                .node_name = (char *)node_name,
                .endpoint = knowledge->endpoint,
                .cluster = knowledge->cluster,
                .saved_at = (uint64_t)time(NULL),
        };
        int r = snapshot_write(knowledge->path, &snapshot, error);

        if (r < 0)
                return r;
        knowledge->saved_at = snapshot.saved_at;
        knowledge->unsaved = knowledge->unsaved_version = false;
        return 0;
}
