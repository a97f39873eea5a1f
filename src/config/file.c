#include "config/file.h"

#include <libconfig.h>
#include <stdio.h>
#include <string.h>

#include "config/source.h"
#include "config/value.h"

/* A file being read. */
struct reader {
        const char *path;
        const config_setting_t *root;
        struct settings *settings;
        struct error *error;
};

/* A key of the file: exactly one of the three functions reads it. */
struct key {
        const char *name;
        int (*text)(const char *text, struct settings *settings, struct error *error);
        int (*number)(long long number, struct settings *settings, struct error *error);
        int (*list)(struct reader *reader, const config_setting_t *setting);
};

/* Puts "FILE:LINE: KEY: " in front of the text that stands. */
static int at(struct reader *reader, const config_setting_t *setting, const char *key)
{
        return error_prefix(
                reader->error, "%s:%u: %s", reader->path, config_setting_source_line(setting), key);
}

static int wrong_type(
        struct reader *reader, const config_setting_t *setting, const char *key, const char *wanted)
{
        error_set(reader->error, -EINVAL, "has to be %s", wanted);
        return at(reader, setting, key);
}

/* The string of the setting, borrowed; NULL: it is none, and the error says so. */
static const char *string_of(
        struct reader *reader, const config_setting_t *setting, const char *key)
{
        if (config_setting_type(setting) != CONFIG_TYPE_STRING) {
                wrong_type(reader, setting, key, "a string, in double quotes");
                return NULL;
        }
        return config_setting_get_string(setting);
}

static int read_prefixes(struct reader *reader, const config_setting_t *list, const char *key,
        struct prefix **target, size_t *target_n)
{
        _cleanup_free_ struct prefix *prefixes = NULL;
        int n = config_setting_length(list);

        if (!config_setting_is_list(list) && !config_setting_is_array(list))
                return wrong_type(reader, list, key, "a list of strings: ( \"PREFIX\", … )");
        if (n > CONFIG_PREFIXES_MAX) {
                error_set(reader->error, -EINVAL, "more than %d prefixes", CONFIG_PREFIXES_MAX);
                return at(reader, list, key);
        }
        prefixes = calloc((size_t)n + 1, sizeof(*prefixes));
        if (!prefixes)
                return error_set(reader->error, -ENOMEM, "out of memory");
        for (int i = 0; i < n; i++) {
                const config_setting_t *element = config_setting_get_elem(list, (unsigned)i);
                const char *text;
                char name[32];

                snprintf(name, sizeof(name), "%s[%d]", key, i);
                text = string_of(reader, element, name);
                if (!text)
                        return -EINVAL;
                if (value_prefix(text, &prefixes[i], reader->error) < 0)
                        return at(reader, element, name);
        }
        free(*target);
        *target_n = prefix_sort_unique(prefixes, (size_t)n);
        *target = TAKE_PTR(prefixes);
        return 0;
}

static int read_protect(struct reader *reader, const config_setting_t *setting)
{
        return read_prefixes(reader, setting, "protect", &reader->settings->protect,
                &reader->settings->n_protect);
}

static int read_exclude(struct reader *reader, const config_setting_t *setting)
{
        return read_prefixes(reader, setting, "exclude", &reader->settings->exclude,
                &reader->settings->n_exclude);
}

static const struct exemption_key {
        const char *name;
        bool optional;
        int (*text)(const char *text, struct exemption *exemption, struct error *error);
} exemption_keys[] = {
        {"name", false, value_exemption_name},
        {"nodes", false, value_exemption_nodes},
        {"protocol", true, value_exemption_protocol},
        {"ports", false, value_exemption_ports},
};

static int read_exemption_key(struct reader *reader, const config_setting_t *setting,
        const char *group, struct exemption *exemption)
{
        const char *name = config_setting_name(setting), *text;
        char path[128];

        snprintf(path, sizeof(path), "%s.%s", group, name);
        for (size_t i = 0; i < ARRAY_SIZE(exemption_keys); i++) {
                if (strcmp(exemption_keys[i].name, name) != 0)
                        continue;
                text = string_of(reader, setting, path);
                if (!text)
                        return -EINVAL;
                if (exemption_keys[i].text(text, exemption, reader->error) < 0)
                        return at(reader, setting, path);
                return 0;
        }
        error_set(reader->error, -EINVAL, "unknown key");
        return at(reader, setting, path);
}

/* What an exemption must have, and that no other one has its name. */
static int check_exemption(struct reader *reader, const config_setting_t *group, const char *path,
        const struct exemption *exemption)
{
        for (size_t i = 0; i < ARRAY_SIZE(exemption_keys); i++)
                if (!exemption_keys[i].optional &&
                        !config_setting_get_member(group, exemption_keys[i].name)) {
                        error_set(reader->error, -EINVAL, "lacks '%s'", exemption_keys[i].name);
                        return at(reader, group, path);
                }
        for (size_t i = 0; i < reader->settings->n_exemptions; i++)
                if (strcmp(reader->settings->exemptions[i].name, exemption->name) == 0) {
                        error_set(reader->error, -EINVAL, "there is another exemption '%s'",
                                exemption->name);
                        return at(reader, group, path);
                }
        return 0;
}

static int read_exemption(struct reader *reader, const config_setting_t *group, int index)
{
        _cleanup_(exemption_deinit) struct exemption exemption = {.protocol = IPPROTO_TCP};
        char path[32];
        int r;

        snprintf(path, sizeof(path), "exemptions[%d]", index);
        if (!config_setting_is_group(group))
                return wrong_type(
                        reader, group, path, "a group: { name = …; nodes = …; ports = …; }");
        for (int i = 0; i < config_setting_length(group); i++) {
                r = read_exemption_key(
                        reader, config_setting_get_elem(group, (unsigned)i), path, &exemption);
                if (r < 0)
                        return r;
        }
        r = check_exemption(reader, group, path, &exemption);
        if (r < 0)
                return r;
        if (settings_add_exemption(reader->settings, &exemption) < 0)
                return error_set(reader->error, -ENOMEM, "out of memory");
        return 0;
}

static int read_exemptions(struct reader *reader, const config_setting_t *list)
{
        static const char key[] = "exemptions";

        if (!config_setting_is_list(list))
                return wrong_type(reader, list, key, "a list of groups: ( { … }, … )");
        if (config_setting_length(list) > CONFIG_EXEMPTIONS_MAX) {
                error_set(reader->error, -EINVAL, "more than %d exemptions", CONFIG_EXEMPTIONS_MAX);
                return at(reader, list, key);
        }
        settings_clear_exemptions(reader->settings);
        for (int i = 0; i < config_setting_length(list); i++) {
                int r = read_exemption(reader, config_setting_get_elem(list, (unsigned)i), i);

                if (r < 0)
                        return r;
        }
        return 0;
}

static const struct key keys[] = {
        {.name = "node_name", .text = value_node_name},
        {.name = "kubeconfig", .text = value_kubeconfig},
        {.name = "interface", .text = value_interface},
        {.name = "mode", .text = value_mode},
        {.name = "on_tunnel_down", .text = value_on_tunnel_down},
        {.name = "on_doubtful_list", .text = value_on_doubtful_list},
        {.name = "protect", .list = read_protect},
        {.name = "exclude", .list = read_exclude},
        {.name = "exemptions", .list = read_exemptions},
        {.name = "noop_route", .text = value_noop_route},
        {.name = "table_base", .number = value_table_base},
        {.name = "priority_base", .number = value_priority_base},
        {.name = "health_listen", .text = value_health_listen},
        {.name = "metrics_listen", .text = value_metrics_listen},
};

const char *config_file_key(size_t index)
{
        return index < ARRAY_SIZE(keys) ? keys[index].name : NULL;
}

const char *config_file_exemption_key(size_t index)
{
        return index < ARRAY_SIZE(exemption_keys) ? exemption_keys[index].name : NULL;
}

static int read_key(struct reader *reader, const struct key *key, const config_setting_t *setting)
{
        int type = config_setting_type(setting), r;
        const char *text;

        if (key->list)
                return key->list(reader, setting);
        if (key->text) {
                text = string_of(reader, setting, key->name);
                if (!text)
                        return -EINVAL;
                r = key->text(text, reader->settings, reader->error);
        } else {
                if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
                        return wrong_type(reader, setting, key->name, "a number");
                r = key->number(config_setting_get_int64(setting), reader->settings, reader->error);
        }
        return r < 0 ? at(reader, setting, key->name) : 0;
}

static int read_root(struct reader *reader)
{
        for (int i = 0; i < config_setting_length(reader->root); i++) {
                const config_setting_t *setting =
                        config_setting_get_elem(reader->root, (unsigned)i);
                const char *name = config_setting_name(setting);
                const struct key *key = NULL;
                int r;

                for (size_t k = 0; k < ARRAY_SIZE(keys) && !key; k++)
                        if (strcmp(keys[k].name, name) == 0)
                                key = &keys[k];
                if (!key) {
                        error_set(reader->error, -EINVAL, "unknown key");
                        return at(reader, setting, name);
                }
                r = read_key(reader, key, setting);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* What is excluded wholly cannot be protected: one of the two is a mistake, and both are grave. */
static int check_contradictions(struct reader *reader)
{
        const struct settings *settings = reader->settings;
        const config_setting_t *list = config_setting_get_member(reader->root, "protect");

        for (int i = 0; list && i < config_setting_length(list); i++) {
                const config_setting_t *element = config_setting_get_elem(list, (unsigned)i);
                char name[32], outer[PREFIX_TEXT_MAX];
                struct prefix prefix;

                if (prefix_parse(config_setting_get_string(element), &prefix) < 0)
                        continue;
                snprintf(name, sizeof(name), "protect[%d]", i);
                for (size_t k = 0; k < settings->n_exclude; k++)
                        if (prefix_covers(&settings->exclude[k], &prefix)) {
                                error_set(reader->error, -EINVAL, "'%s' lies inside exclude's '%s'",
                                        config_setting_get_string(element),
                                        prefix_format(&settings->exclude[k], outer));
                                return at(reader, element, name);
                        }
        }
        return 0;
}

/* libconfig names the line, not the key: the line itself is shown with it. */
static int syntax_error(struct reader *reader, const config_t *config, const char *text)
{
        int number = config_error_line(config);
        _cleanup_free_ char *line = config_source_line(text, number);

        return error_set(reader->error, -EINVAL, "%s:%d: %s, at: %s", reader->path, number,
                config_error_text(config) ? config_error_text(config) : "syntax error",
                line ? line : "");
}

int config_file_read(const char *path, struct settings *settings, struct error *error)
{
        struct error unseen = {};
        struct reader reader = {
                .path = path,
                .settings = settings,
                .error = error ? error : &unseen,
        };
        _cleanup_free_ char *text = NULL;
        config_t config;
        int r;

        r = config_source_read(path, &text, reader.error);
        if (r < 0)
                return r;
        config_init(&config);
        if (config_read_string(&config, text) == CONFIG_TRUE) {
                reader.root = config_root_setting(&config);
                r = read_root(&reader);
                if (r >= 0)
                        r = check_contradictions(&reader);
        } else {
                r = syntax_error(&reader, &config, text);
        }
        config_destroy(&config);
        return r;
}
