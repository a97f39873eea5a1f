/*
 * What is asked over D-Bus, and what the manager answers.
 */
#include <string.h>

#include "basics/log.h"
#include "basics/message_id.h"
#include "daemon/manager_private.h"
#include "daemon/policy_text.h"

static const char *on_findings(void *userdata)
{
        const struct manager *m = userdata;

        return m->story.findings;
}

/* After a reconcile: whether the kernel is as it should be. */
static enum bus_outcome outcome(const struct manager *m, const char *done, struct error *error)
{
        const struct status *status = &m->story.status;

        /* Observing, the kernel need not be as the policy wants it. */
        if (status->in_sync || status->state == STATE_OBSERVING)
                return BUS_DONE;
        (void)error_set(error, -ESTALE, "%s, but the kernel is not as it should be: %s", done,
                status->reason);
        return BUS_NOT_IN_SYNC;
}

static enum bus_outcome on_reload(void *userdata, struct error *error)
{
        if (reload(userdata, error) < 0)
                return BUS_REFUSED;
        return outcome(userdata, "the configuration is in force", error);
}

static enum bus_outcome on_resync(void *userdata, struct error *error)
{
        struct manager *m = userdata;

        if (m->kube)
                kube_client_resync(m->kube);
        reconcile_run(m);
        return outcome(m, "everything was read again", error);
}

static enum bus_outcome on_set_mode(void *userdata, bool observe, struct error *error)
{
        set_mode(userdata, observe ? MODE_OBSERVE : MODE_ENFORCE);
        return outcome(userdata, "the mode was changed", error);
}

static int on_policy(void *userdata, struct text_builder *builder)
{
        struct manager *m = userdata;
        const struct reconcile_input input = reconcile_input_now(m);
        struct error error = {};

        return policy_text(&m->reconciler, &input, builder, &error);
}

static void on_state(void *userdata, enum bus_state state, const struct error *error)
{
        if (state == BUS_DENIED)
                log_warning(
                        "nodecryptorctl and systemctl cannot reach this daemon: %s", error->text);
        else
                log_debug(state == BUS_NAMED ? "on the system bus as " BUS_NAME
                                             : "the system bus is gone, waiting for it");
}

int bus_events_init(struct manager *m)
{
        const struct bus_handlers handlers = {
                .userdata = m,
                .findings = on_findings,
                .reload = on_reload,
                .resync = on_resync,
                .set_mode = on_set_mode,
                .policy = on_policy,
                .peers = peer_views_tell,
                .state = on_state,
        };

        return bus_new(m->event, &m->story.status, &handlers, &m->bus);
}
