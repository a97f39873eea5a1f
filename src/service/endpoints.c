#include "service/endpoints.h"

#include <string.h>
#include <time.h>

#include "service/health.h"
#include "service/metrics.h"

/* One server and what it serves; NULL while it is not wanted or could not listen. */
struct slot {
        struct endpoints *endpoints;
        struct http_server *server;
        struct listen where;
        bool health;
        bool metrics;
};

struct endpoints {
        sd_event *event;
        const struct status *status;
        bool (*making_progress)(void *userdata);
        void *userdata;
        struct slot health; /* and the metrics too when both listen at one address */
        struct slot metrics;
};

static int on_path(const char *path, struct http_answer *ret, void *userdata)
{
        struct slot *slot = userdata;
        const struct endpoints *endpoints = slot->endpoints;
        struct text_builder builder = {};
        struct http_answer answer = {.status = 200, .content_type = "text/plain; charset=utf-8"};
        int r;

        if (slot->health && strcmp(path, "/healthz") == 0) {
                answer.status = health_live(endpoints->status,
                        endpoints->making_progress(endpoints->userdata), &builder);
        } else if (slot->health && strcmp(path, "/readyz") == 0) {
                answer.status = health_ready(endpoints->status, &builder);
        } else if (slot->metrics && strcmp(path, "/metrics") == 0) {
                answer.content_type = METRICS_CONTENT_TYPE;
                metrics_print(endpoints->status, (uint64_t)time(NULL), &builder);
        } else {
                return -ENOENT;
        }
        r = text_take(&builder, &answer.body);
        if (r < 0)
                return r;
        *ret = answer;
        return 0;
}

int endpoints_new(sd_event *event, const struct status *status,
        bool (*making_progress)(void *userdata), void *userdata, struct endpoints **ret)
{
        struct endpoints *endpoints = calloc(1, sizeof(*endpoints));

        if (!endpoints)
                return -ENOMEM;
        endpoints->event = sd_event_ref(event);
        endpoints->status = status;
        endpoints->making_progress = making_progress;
        endpoints->userdata = userdata;
        endpoints->health = (struct slot){.endpoints = endpoints, .health = true};
        endpoints->metrics = (struct slot){.endpoints = endpoints, .metrics = true};
        *ret = endpoints;
        return 0;
}

struct endpoints *endpoints_free(struct endpoints *endpoints)
{
        if (!endpoints)
                return NULL;
        http_server_free(endpoints->health.server);
        http_server_free(endpoints->metrics.server);
        sd_event_unref(endpoints->event);
        free(endpoints);
        return NULL;
}

static bool same_place(const struct listen *a, const struct listen *b)
{
        return a->port == b->port && address_equal(&a->address, &b->address);
}

/* Closes what listens where it should not any more, so that the other one may listen there. */
static void close_if_moved(struct slot *slot, const struct listen *where)
{
        if (slot->server && !same_place(&slot->where, where))
                slot->server = http_server_free(slot->server);
        slot->where = *where;
}

static int open_if_wanted(struct slot *slot, struct error *error)
{
        *error = (struct error){};
        if (slot->server || slot->where.port == 0)
                return 0;
        return http_server_new(
                slot->endpoints->event, &slot->where, on_path, slot, &slot->server, error);
}

int endpoints_listen(struct endpoints *endpoints, const struct listen *health,
        const struct listen *metrics, struct error *ret_health, struct error *ret_metrics)
{
        const struct listen nowhere = {};
        bool shared = health->port != 0 && same_place(health, metrics);
        int r, q;

        close_if_moved(&endpoints->health, health);
        close_if_moved(&endpoints->metrics, shared ? &nowhere : metrics);
        endpoints->health.metrics = shared;
        r = open_if_wanted(&endpoints->health, ret_health);
        q = open_if_wanted(&endpoints->metrics, ret_metrics);
        if (shared)
                *ret_metrics = *ret_health;
        return r < 0 ? r : q;
}
