/*
 * The files of other programs, as far as the preflight reads them.
 */
#include <string.h>

#include "basics/text.h"
#include "ctl/check_facts.h"
#include "store/json.h"

#define WORD_MAX 64

/* At the top, or in one of the objects there: Cilium moves its settings between them. */
static json_object *find_member(json_object *all, const char *key, enum json_type type)
{
        json_object *found = json_member(all, key, type);

        if (found)
                return found;
        json_object_object_foreach(all, name, value)
        {
                (void)name;
                if (json_object_is_type(value, json_type_object))
                        found = json_member(value, key, type);
                if (found)
                        return found;
        }
        return NULL;
}

static enum known find_switch(json_object *all, const char *key)
{
        json_object *value = find_member(all, key, json_type_boolean);

        return !value ? UNKNOWN : json_object_get_boolean(value) ? YES : NO;
}

static int find_word(json_object *all, const char *key, char **ret)
{
        json_object *value = find_member(all, key, json_type_string);
        const char *text = value ? json_text(value, WORD_MAX) : NULL;

        return text && *text ? text_replace(ret, text) : 0;
}

int cilium_config_parse(const char *text, size_t size, struct cilium_config *ret)
{
        _cleanup_(json_putp) json_object *all = json_parse(text, size);

        if (!all || !json_object_is_type(all, json_type_object))
                return -EBADMSG;
        ret->wireguard = find_switch(all, "EnableWireguard");
        ret->node_encryption = find_switch(all, "EncryptNode");
        ret->legacy_routing = find_switch(all, "EnableHostLegacyRouting");
        if (find_word(all, "RoutingMode", &ret->routing_mode) < 0 ||
                find_word(all, "IPAM", &ret->ipam) < 0)
                return -ENOMEM;
        ret->read = true;
        return 0;
}

/* systemd's booleans; anything else leaves what stood. */
static void set_switch(const char *value, size_t length, enum known *ret)
{
        static const char *const yes[] = {"yes", "true", "on", "1", "y", "t"}, *const no[] = {"no",
                                                                                       "false",
                                                                                       "off", "0",
                                                                                       "n", "f"};

        for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
                if (strlen(yes[i]) == length && strncasecmp(yes[i], value, length) == 0)
                        *ret = YES;
                if (strlen(no[i]) == length && strncasecmp(no[i], value, length) == 0)
                        *ret = NO;
        }
}

static const char *skip_blanks(const char *text)
{
        return text + strspn(text, " \t");
}

void networkd_config_apply(const char *text, struct check_facts *facts)
{
        static const char rules[] = "ManageForeignRoutingPolicyRules",
                          routes[] = "ManageForeignRoutes";
        bool in_section = false;

        for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line != '\0') {
                const char *begin = skip_blanks(line), *value;
                size_t key = strcspn(begin, " \t=\n"), length;

                if (*begin == '[')
                        in_section = strncmp(begin, "[Network]", 9) == 0;
                value = skip_blanks(begin + key);
                if (!in_section || *value != '=')
                        continue;
                value = skip_blanks(value + 1);
                length = strcspn(value, " \t\r\n");
                if (key == strlen(rules) && strncmp(begin, rules, key) == 0)
                        set_switch(value, length, &facts->networkd_rules);
                if (key == strlen(routes) && strncmp(begin, routes, key) == 0)
                        set_switch(value, length, &facts->networkd_routes);
        }
}
