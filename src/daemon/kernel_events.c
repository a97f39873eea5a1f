/*
 * What the kernel announces, and what the manager makes of it.
 */
#include <string.h>

#include "basics/log.h"
#include "daemon/manager_private.h"
#include "kernel/noop_link.h"
#include "kernel/sink_link.h"
#include "policy/shape.h"

static void on_link(const char *name, uint32_t ifindex, bool deleted, void *userdata)
{
        struct manager *m = userdata;

        static const char *const watched[] = {"lo", NOOP_LINK_NAME, SINK_LINK_NAME};
        bool ours = strcmp(name, m->settings->interface) == 0 || ifindex == m->story.link.ifindex;

        for (size_t i = 0; i < ARRAY_SIZE(watched); i++)
                ours |= strcmp(name, watched[i]) == 0;
        if (!ours)
                return;
        note_cause(m, REPAIR_DEVICE);
        reconcile_now(m);
}

static void on_address(void *userdata)
{
        note_cause(userdata, REPAIR_HOST);
        reconcile_now(userdata);
}

static void on_rp_filter(void *userdata)
{
        struct manager *m = userdata;

        /* Every new link tells its own, those of pods too. */
        if (!reconciler_rp_filter_changed(&m->reconciler))
                return;
        note_cause(m, REPAIR_HOST);
        reconcile_now(m);
}

/* Of ours, or in its place: in our tables whatever is done, as for rules what has our shape. */
static bool is_ours(struct manager *m, const struct foreign_change *change)
{
        struct layout layouts[LAYOUT_RECORD_MAX + 1];
        size_t n = reconciler_layouts(&m->reconciler, m->settings, layouts);

        return !change->is_rule ||
               (change->deleted && rule_shape(layouts, n, &change->rule) != SHAPE_ALIEN);
}

static void on_foreign(const struct foreign_change *change, void *userdata)
{
        struct manager *m = userdata;

        /* In observe mode others may do as they like. */
        if (m->settings->mode == MODE_ENFORCE) {
                foreign_story_change(&m->foreign, &m->story.status, change, is_ours(m, change),
                        monotonic_usec());
                watch_for_peace(m);
        }
        /* Port id 0: the kernel's own doing, as when a device goes. */
        note_cause(m, change->port_id == 0 ? REPAIR_DEVICE : REPAIR_FOREIGN);
        reconcile_repair(m);
}

static void on_overflow(int code, void *userdata)
{
        log_debug("announcements of the kernel were lost (%s): reading everything again",
                strerror(-code));
        note_cause(userdata, REPAIR_LOST);
        reconcile_now(userdata);
}

int kernel_events_init(struct manager *m)
{
        const struct monitor_handlers handlers = {
                .link = on_link,
                .address = on_address,
                .rp_filter = on_rp_filter,
                .foreign = on_foreign,
                .overflow = on_overflow,
                .userdata = m,
        };

        return monitor_new(m->event, netlink_port_id(m->reconciler.route), &handlers, &m->monitor);
}
