/*
 * Taking a configuration in force, at start and at SIGHUP.
 */
#include <string.h>

#include "basics/log.h"
#include "basics/message_id.h"
#include "config/config.h"
#include "daemon/manager_private.h"

void listen_endpoints(struct manager *m)
{
        struct error health = {}, metrics = {};
        struct status *status = &m->story.status;

        (void)endpoints_listen(m->endpoints, &m->settings->health_listen,
                &m->settings->metrics_listen, &health, &metrics);
        STATUS_PRINT(status->health_error, "%s", health.text);
        STATUS_PRINT(status->metrics_error, "%s", metrics.text);
        if (health.code != 0)
                log_warning("health endpoint: %s", health.text);
        if (metrics.code != 0 && strcmp(metrics.text, health.text) != 0)
                log_warning("metrics endpoint: %s", metrics.text);
}

static void put_in_force(struct manager *m, struct settings *settings)
{
        bool other_client = !text_equal(m->settings->kubeconfig, settings->kubeconfig);
        struct error error = {};

        settings_free(m->settings);
        m->settings = settings;
        story_settings(&m->story, settings);
        listen_endpoints(m);
        if (other_client) {
                m->kube = kube_client_free(m->kube);
                if (api_events_init(m, &error) < 0)
                        log_error("%s", error.text);
        } else {
                if (api_events_configure(m) < 0)
                        log_error("out of memory");
                kube_client_reload(m->kube);
        }
        log_event(LOG_NOTICE, MESSAGE_CONFIGURATION, NULL, "configuration reloaded");
}

void reload(struct manager *m)
{
        struct settings *settings = NULL;
        struct error error = {};

        notify_reloading(m->notify);
        if (config_load(m->options, &settings, &error) < 0)
                log_event(LOG_ERR, MESSAGE_CONFIGURATION, NULL,
                        "configuration refused, the one in force stays: %s", error.text);
        else
                put_in_force(m, settings);
        /* Before the run, which publishes it: when it can be read the policy is in force. */
        runtime_state_reloaded(m->runtime, error.code != 0 ? error.text : NULL);
        reconcile_run(m);
        notify_ready(m->notify);
}
