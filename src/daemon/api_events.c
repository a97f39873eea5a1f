/*
 * What the API client tells, and what the manager makes of it.
 */
#include <string.h>
#include <time.h>

#include "basics/log.h"
#include "daemon/manager_private.h"

static void on_credential(
        void *userdata, const struct credential *credential, const struct error *error)
{
        struct manager *m = userdata;

        story_credential(&m->story, credential, error);
        if (credential && knowledge_set_credential(&m->knowledge, credential) == -EXDEV) {
                story_other_cluster(&m->story, credential);
                if (kube_client_forget(m->kube) < 0)
                        log_error("out of memory");
        }
        reconcile_soon(m);
}

static void on_endpoint(void *userdata, const struct endpoint *endpoint)
{
        struct manager *m = userdata;

        if (knowledge_set_endpoint(&m->knowledge, endpoint) <= 0)
                return;
        story_endpoint(&m->story, endpoint);
        schedule_save(m);
        /* Not gathered: the connection that is about to be made needs the exemption. */
        reconcile_now(m);
}

static void on_replaced(void *userdata, struct cluster *cluster)
{
        struct manager *m = userdata;
        bool first = m->knowledge.source != KNOWLEDGE_API;

        if (knowledge_replace(&m->knowledge, cluster) > 0 || first) {
                story_nodes(&m->story, &m->knowledge);
                reconcile_now(m); /* it is whole: there is nothing to gather */
        }
        schedule_save(m);
}

static void on_changed(void *userdata, struct node *node, const char *version)
{
        struct manager *m = userdata;
        int r;

        note_contact(m);
        settle(m, true);
        r = knowledge_put(&m->knowledge, node, version);
        if (r < 0)
                reconcile_soon(m);
        else if (r > 0)
                reconcile_node(m, r == KNOWLEDGE_JOINED);
        schedule_save(m);
}

static void on_removed(void *userdata, const char *name, const char *version)
{
        struct manager *m = userdata;

        note_contact(m);
        settle(m, true);
        if (knowledge_remove(&m->knowledge, name, version) != 0)
                reconcile_node(m, false);
        schedule_save(m);
}

static void on_bookmark(void *userdata, const char *version)
{
        struct manager *m = userdata;

        note_contact(m);
        knowledge_bookmark(&m->knowledge, version);
        schedule_save(m);
}

static void on_bad_object(void *userdata, const char *name, const struct error *error)
{
        struct manager *m = userdata;

        story_bad_object(&m->story, name, error);
        publish_status(m);
}

static void on_state(void *userdata, enum reflector_state state, const struct error *error)
{
        struct manager *m = userdata;

        /* Watching on from the snapshot's version: what it lacks comes now. */
        if (state == REFLECTOR_WATCHING && !error && knowledge_confirm(&m->knowledge)) {
                reconcile_soon(m);
                schedule_save(m);
        }
        settle(m, state == REFLECTOR_WATCHING && !error);
        story_api(&m->story, state, error);
        publish_status(m);
}

int api_events_configure(struct manager *m)
{
        return kube_client_set_doubt(m->kube,
                knowledge_node_name(&m->knowledge, m->settings->node_name),
                m->settings->on_doubtful_list);
}

int api_events_init(struct manager *m, struct error *error)
{
        const struct kube_client_handlers handlers = {
                .userdata = m,
                .credential = on_credential,
                .endpoint = on_endpoint,
                .replaced = on_replaced,
                .changed = on_changed,
                .removed = on_removed,
                .bookmark = on_bookmark,
                .bad_object = on_bad_object,
                .state = on_state,
        };
        const struct reflector_origin origin = {
                .server = m->knowledge.identity.server,
                .ca_sha256 = m->knowledge.identity.ca_sha256,
                .age = knowledge_age(&m->knowledge, (uint64_t)time(NULL)),
        };
        int r = kube_client_new(m->event, m->settings->kubeconfig, &handlers, &m->kube);

        if (r >= 0)
                r = kube_client_set_snapshot(m->kube, m->knowledge.cluster, &origin);
        if (r >= 0)
                r = api_events_configure(m);
        if (r >= 0)
                r = kube_client_start(m->kube);
        if (r < 0)
                return error_set(error, r, "API client: %s", strerror(-r));
        return 0;
}
