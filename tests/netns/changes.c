#include "changes.h"

#include <netinet/in.h>

#include "test.h"

void world_init_small(struct world *world)
{
        world_init(world);
        world_put(world, "cp-1", 11, true);
        world_put(world, "cp-2", 12, true);
        world_put(world, "w-1", 21, false);
        world_put(world, "w-2", 22, false);
}

static void both(struct world *before, struct world *after)
{
        world_init_small(before);
        world_init_small(after);
}

void change_first_programming(struct world *before, struct world *after)
{
        world_init_empty(before);
        world_init_small(after);
}

void change_first_behind_protect(struct world *before, struct world *after)
{
        change_first_programming(before, after);
        for (int i = 0; i < 2; i++) {
                struct settings *settings = (i == 0 ? before : after)->settings;

                world_add_prefix(&settings->protect, &settings->n_protect, "10.244.0.0/16");
                world_add_prefix(&settings->protect, &settings->n_protect, "fd00:244::/32");
        }
}

void change_nodes_join(struct world *before, struct world *after)
{
        both(before, after);
        world_put(after, "cp-3", 13, true);
        world_put(after, "w-3", 23, false);
}

void change_nodes_leave(struct world *before, struct world *after)
{
        both(before, after);
        world_remove(after, "cp-2");
        world_remove(after, "w-2");
}

void change_roles_change(struct world *before, struct world *after)
{
        both(before, after);
        world_put(after, "cp-2", 12, false);
        world_put(after, "w-1", 21, true);
}

void change_our_role_changes(struct world *before, struct world *after)
{
        both(before, after);
        world_put(after, SELF, 1, true);
}

/* More or fewer control planes than direct rules are made for: the complement table. */
static void put_control_planes(struct world *world, unsigned n)
{
        char name[16];

        for (unsigned i = 0; i < n; i++) {
                snprintf(name, sizeof(name), "more-%u", i);
                world_put(world, name, 40 + i, true);
        }
}

void change_complement_comes(struct world *before, struct world *after)
{
        both(before, after);
        put_control_planes(before, 12);
        put_control_planes(after, 18);
}

void change_complement_goes(struct world *before, struct world *after)
{
        change_complement_comes(after, before);
}

void change_complement_changes(struct world *before, struct world *after)
{
        both(before, after);
        put_control_planes(before, 20);
        put_control_planes(after, 18);
        world_put(after, "w-1", 21, true);
        world_put(after, "more-0", 40, false);
        world_exempt_only(after, IPPROTO_TCP, 6443, 6443);
}

void change_addresses_swapped(struct world *before, struct world *after)
{
        both(before, after);
        world_put(after, "cp-2", 21, true);
        world_put(after, "w-1", 12, false);
}

void change_many_at_once(struct world *before, struct world *after)
{
        char name[16];

        both(before, after);
        for (unsigned i = 0; i < 300; i++) {
                snprintf(name, sizeof(name), "p-%u", i);
                if (i % 3 != 2)
                        world_put(before, name, 100 + i, i % 50 == 0);
                if (i % 3 != 0)
                        world_put(after, name, i % 6 == 1 ? 600 + i : 100 + i, i % 70 == 1);
        }
}

void change_tables_moved(struct world *before, struct world *after)
{
        both(before, after);
        after->settings->table_base = 52000;
}

void change_band_moved_up(struct world *before, struct world *after)
{
        both(before, after);
        after->settings->priority_base = 300;
}

void change_band_moved_down(struct world *before, struct world *after)
{
        both(before, after);
        after->settings->priority_base = 150;
}

void change_layout_moved(struct world *before, struct world *after)
{
        change_tables_moved(before, after);
        after->settings->priority_base = 120;
}

void change_bands_overlap(struct world *before, struct world *after)
{
        both(before, after);
        after->settings->priority_base += 3;
}

void change_exemptions_changed(struct world *before, struct world *after)
{
        both(before, after);
        world_put(before, SELF, 1, true);
        world_put(after, SELF, 1, true);
        world_exempt_only(after, IPPROTO_TCP, 6443, 8443);
}

void change_endpoint_added(struct world *before, struct world *after)
{
        struct address virtual = address("10.0.0.99");

        both(before, after);
        after->endpoint.port = 8443;
        CHECK_INT(endpoint_add_address(&after->endpoint, &virtual), 1);
}

void change_exclusion_added(struct world *before, struct world *after)
{
        both(before, after);
        world_add_prefix(&after->settings->exclude, &after->settings->n_exclude, "10.244.21.0/28");
        world_add_prefix(&after->settings->exclude, &after->settings->n_exclude, "fd00::16/128");
}

void change_exclusion_removed(struct world *before, struct world *after)
{
        change_exclusion_added(after, before);
}

void change_protection_added(struct world *before, struct world *after)
{
        both(before, after);
        world_add_prefix(&after->settings->protect, &after->settings->n_protect, "10.244.0.0/16");
        world_add_prefix(&after->settings->protect, &after->settings->n_protect, "10.0.0.0/24");
        world_add_prefix(&after->settings->protect, &after->settings->n_protect, "fd00::/16");
}

void change_protection_removed(struct world *before, struct world *after)
{
        change_protection_added(after, before);
}

void change_device_comes(struct world *before, struct world *after)
{
        both(before, after);
        before->device_up = false;
}

void change_joins_without_device(struct world *before, struct world *after)
{
        change_nodes_join(before, after);
        before->device_up = after->device_up = false;
}

void change_bypass_ends(struct world *before, struct world *after)
{
        both(before, after);
        before->settings->on_tunnel_down = TUNNEL_DOWN_BYPASS;
}
