#include "policy/complement.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

struct choice {
        struct segments *segments;
        const struct fib *actual; /* NULL: nothing is known of the kernel */
        struct layout layout;
        int family;
        bool taken[LAYOUT_TABLES];
};

size_t complement_threshold(const struct policy_input *input)
{
        return input->threshold ? input->threshold : COMPLEMENT_THRESHOLD;
}

/* The group of the segment that a rule is made for; SIZE_MAX: it is made for none of ours. */
static size_t group_of_rule(const struct segments *segments, const struct rule *rule)
{
        for (size_t i = 0; i < segments->n; i++) {
                const struct segment *segment = &segments->items[i];

                if (rule->ip_protocol == segment->protocol &&
                        rule->dport.first == segment->ports.first &&
                        rule->dport.last == segment->ports.last)
                        return segment->group;
        }
        return SIZE_MAX;
}

enum use {
        USE_NONE,  /* no rule looks the table up */
        USE_GROUP, /* this group's rules do, and no others */
        USE_OTHER,
};

static enum use table_use(const struct choice *c, uint32_t table, size_t group)
{
        enum use use = USE_NONE;

        for (size_t i = 0; c->actual && i < c->actual->n_rules; i++) {
                const struct rule *rule = &c->actual->rules[i];

                if (rule->family != c->family || rule->action != FR_ACT_TO_TBL ||
                        rule->table != table)
                        continue;
                if (rule->foreign || group_of_rule(c->segments, rule) != group)
                        return USE_OTHER;
                use = USE_GROUP;
        }
        return use;
}

/* Gives the group the first table that is free and used so. False: there is none. */
static bool take(struct choice *c, size_t group, enum use wanted)
{
        for (unsigned slot = LAYOUT_TABLE_COMPLEMENT; slot < LAYOUT_TABLES; slot++) {
                uint32_t table = layout_table(&c->layout, slot);

                if (c->taken[slot] || table_use(c, table, group) != wanted)
                        continue;
                c->taken[slot] = true;
                c->segments->groups[group].tables[family_index(c->family)] = table;
                return true;
        }
        return false;
}

static void choose_family(struct choice *c, size_t threshold)
{
        struct segments *segments = c->segments;
        int family = family_index(c->family);

        /* First those that have one: no other group may be given it. */
        for (size_t i = 0; i < segments->n_groups; i++)
                if (segments->groups[i].n_addresses[family] > threshold)
                        (void)take(c, i, USE_GROUP);
        for (size_t i = 0; i < segments->n_groups; i++)
                if (segments->groups[i].n_addresses[family] > threshold &&
                        segments->groups[i].tables[family] == 0)
                        (void)take(c, i, USE_NONE);
}

void complement_choose(struct segments *segments, const struct policy_input *input)
{
        for (int i = 0; i < FAMILY_MAX; i++) {
                struct choice c = {
                        .segments = segments,
                        .actual = input->actual,
                        .layout = policy_layout(input->settings),
                        .family = family_from_index((enum family_index)i),
                };

                choose_family(&c, complement_threshold(input));
        }
}

bool complement_may_be_short(const struct segments *segments, const struct policy_input *input)
{
        const struct layout layout = policy_layout(input->settings);
        size_t tables = LAYOUT_TABLES - LAYOUT_TABLE_COMPLEMENT;
        bool used[LAYOUT_TABLES] = {};

        for (size_t i = 0; input->actual && i < input->actual->n_rules; i++)
                if (layout_has_table(&layout, input->actual->rules[i].table))
                        used[input->actual->rules[i].table - layout.table_base] = true;
        for (unsigned slot = LAYOUT_TABLE_COMPLEMENT; slot < LAYOUT_TABLES; slot++)
                tables -= used[slot];
        return segments->n_groups > tables;
}

/* Of a rule that looks a complement table up, whoever made it. */
static bool is_lookup(const struct layout *layout, const struct rule *rule)
{
        return rule->action == FR_ACT_TO_TBL && layout_has_table(layout, rule->table) &&
               rule->table >= layout_table(layout, LAYOUT_TABLE_COMPLEMENT);
}

bool complement_stands(const struct policy_input *input, int family, uint32_t table)
{
        for (size_t i = 0; input->actual && i < input->actual->n_rules; i++)
                if (input->actual->rules[i].family == family &&
                        input->actual->rules[i].table == table)
                        return true;
        return false;
}

int complement_add_standing(const struct policy_input *input, struct fib *fib)
{
        const struct layout layout = policy_layout(input->settings);
        int r = 0;

        for (size_t i = 0; r >= 0 && input->actual && i < input->actual->n_rules; i++)
                if (is_lookup(&layout, &input->actual->rules[i]))
                        r = fib_add_rule(fib, &input->actual->rules[i]);
        return r;
}
