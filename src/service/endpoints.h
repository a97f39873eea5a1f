/*
 * The two endpoints: /healthz and /readyz where `health_listen` says, /metrics where
 * `metrics_listen` says; one server with all three paths where both say the same.
 */
#pragma once

#include "service/http.h"
#include "service/status.h"

struct endpoints;

/* *status is read at each request, and must outlive the endpoints, as must userdata. */
int endpoints_new(sd_event *event, const struct status *status,
        bool (*making_progress)(void *userdata), void *userdata, struct endpoints **ret);
struct endpoints *endpoints_free(struct endpoints *endpoints);
DEFINE_CLEANUP(struct endpoints *, endpoints_free)

/*
 * Listens there from now on: at start, and at each reload. A server whose address stays is left
 * alone, one that failed is tried again. An address that cannot be listened at puts its text into
 * *ret_health or *ret_metrics (code 0: no error); the other endpoint works all the same. Returns 0,
 * or the first such error.
 */
int endpoints_listen(struct endpoints *endpoints, const struct listen *health,
        const struct listen *metrics, struct error *ret_health, struct error *ret_metrics);
