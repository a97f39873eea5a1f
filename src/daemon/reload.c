/*
 * Taking a configuration in force, at start and when told to; changing the mode.
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

        m->configured_mode = settings->mode;
        if (m->mode_requested)
                settings->mode = m->settings->mode;
        m->mode_requested = settings->mode != m->configured_mode;
        settings_free(m->settings);
        m->settings = settings;
        story_settings(&m->story, settings);
        m->story.status.mode_overridden = m->mode_requested;
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

int reload(struct manager *m, struct error *error)
{
        struct settings *settings = NULL;
        int r;

        notify_reloading(m->notify);
        r = config_load(m->options, &settings, error);
        if (r < 0)
                log_event(LOG_ERR, MESSAGE_CONFIGURATION, NULL,
                        "configuration refused, the one in force stays: %s", error->text);
        else
                put_in_force(m, settings);
        /* Before the run, which publishes it: when it can be read the policy is in force. */
        runtime_state_reloaded(m->runtime, r < 0 ? error->text : NULL);
        reconcile_run(m);
        notify_ready(m->notify);
        return r < 0 ? r : 0;
}

void set_mode(struct manager *m, enum mode mode)
{
        bool overridden = mode != m->configured_mode;

        if (mode != m->settings->mode)
                log_event(LOG_NOTICE, MESSAGE_CONFIGURATION, NULL, "mode \"%s\" on request%s",
                        mode == MODE_OBSERVE ? "observe" : "enforce",
                        overridden ? ", until the daemon ends" : "");
        m->mode_requested = overridden;
        m->settings->mode = mode;
        story_settings(&m->story, m->settings);
        m->story.status.mode_overridden = overridden;
        reconcile_run(m);
}
