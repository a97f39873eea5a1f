#include "ctl/plan_host.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basics/fileio.h"
#include "basics/log.h"
#include "config/config.h"
#include "ctl/bus_client.h"
#include "ctl/flow_arguments.h"
#include "ctl/status_json.h"
#include "kernel/policy_commands.h"
#include "kernel/sink_link.h"
#include "kube/node_list.h"
#include "policy/findings.h"
#include "store/json.h"
#include "store/snapshot.h"

/* Any index serves: the commands name the device. */
#define PLAN_IFINDEX 1
#define PLAN_SINK    2
#define PLAN_MAX     ((size_t)64 * 1024 * 1024)

/* One plan that is computed here. */
struct planning {
        const struct plan_host *host;
        struct settings *settings;
        struct cluster *cluster;
        struct snapshot snapshot;
        const struct endpoint *endpoint;
        struct address local[FAMILY_MAX + 1];
        struct device device;
};

void plan_host_init(struct plan_host *host)
{
        *host = (struct plan_host){};
        options_init(&host->options);
}

void plan_host_deinit(struct plan_host *host)
{
        endpoint_deinit(&host->endpoint);
        options_deinit(&host->options);
}

int plan_host_add_endpoint(struct plan_host *host, const char *text)
{
        struct address address;
        uint16_t port;

        if (address_port_parse(text, &address, &port) < 0 || port == 0 ||
                (host->endpoint.port != 0 && host->endpoint.port != port)) {
                log_error("--api-endpoint %s: not an ADDRESS:PORT, or of another port", text);
                return -EINVAL;
        }
        host->endpoint.port = port;
        return endpoint_add_address(&host->endpoint, &address);
}

static void on_bad_object(void *userdata, const char *name, const struct error *error)
{
        log_warning("CiliumNode %s cannot be used and is left out: %s",
                name ? name : "(without a name)", error->text);
}

static int read_snapshot(struct planning *plan, bool needed)
{
        _cleanup_free_ char *path = NULL;
        struct error error = {};
        int r;

        if (asprintf(&path, "%s/%s", plan->settings->state_directory, SNAPSHOT_FILE) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = snapshot_read(path, &plan->snapshot, &error);
        if (r < 0 && needed)
                log_error("%s", r == -ENOENT ? "there is no snapshot" : error.text);
        return needed && r < 0 ? -EIO : 0;
}

static int read_nodes(struct planning *plan, const char *source)
{
        struct error error = {};
        int r;

        if (strcmp(source, "snapshot") == 0) {
                r = read_snapshot(plan, true);
                if (r >= 0)
                        plan->cluster = TAKE_PTR(plan->snapshot.cluster);
                return r;
        }
        r = node_list_load(source, on_bad_object, plan, &plan->cluster, &error);
        if (r < 0)
                log_error("%s", error.text);
        return r < 0 ? -EIO : 0;
}

/* The host holds its own addresses, and has IPv6. */
static int imagine_host(struct planning *plan, const char *source)
{
        const char *name = plan->settings->node_name;
        const struct node *self = name ? cluster_find(plan->cluster, name) : NULL;
        size_t n = 0;

        if (!name)
                log_error("whose plan? --node-name NAME says it");
        else if (!self)
                log_error("%s: there is no node %s in it", source, name);
        if (!self || address_parse("::1", &plan->local[n++]) < 0)
                return name ? -ENOENT : -EINVAL;
        for (int i = 0; i < FAMILY_MAX; i++)
                if (self->addresses[i].family != 0)
                        plan->local[n++] = self->addresses[i];
        qsort(plan->local, n, sizeof(plan->local[0]), address_compare_void);
        plan->device = (struct device){
                .usable = !plan->host->without_device,
                .ifindex = PLAN_IFINDEX,
                .mark = plan->host->mark ? plan->host->mark : DEFAULT_MARK,
                .sink = plan->host->loose ? PLAN_SINK : 0,
                .local = plan->local,
                .n_local = n,
        };
        return 0;
}

static int print_findings(const struct policy_input *input)
{
        struct findings findings = {};
        int r = policy_findings(input, &findings);

        for (size_t i = 0; r >= 0 && i < findings.n; i++) {
                struct text_builder text = {};
                _cleanup_free_ char *line = NULL;

                finding_format(&findings.items[i], &text);
                r = text_take(&text, &line);
                if (r >= 0)
                        log_warning("%s", line);
        }
        findings_deinit(&findings);
        return r;
}

static int compute(const struct planning *plan, struct plan_lines *ret)
{
        const struct policy_input input = {
                .settings = plan->settings,
                .cluster = plan->cluster,
                .node_name = plan->settings->node_name,
                .device = &plan->device,
                .endpoint = plan->endpoint,
        };
        struct text_builder builder = {};
        char *commands = NULL;
        int r = policy_commands(&input, &builder), taken = text_take(&builder, &commands);

        if (r >= 0)
                r = taken;
        if (r >= 0)
                r = print_findings(&input);
        if (r < 0) {
                log_error("%s", strerror(-r));
                free(commands);
                return r;
        }
        return plan_lines_take(commands, ret);
}

/* With the host's own endpoint where that can be read and no other one was given. */
static int plan_nodes(const struct plan_host *host, const char *source, struct plan_lines *ret)
{
        struct planning plan = {.host = host, .endpoint = &host->endpoint};
        struct error error = {};
        int r = 0;

        if (config_load(&host->options, &plan.settings, &error) < 0) {
                log_error("%s", error.text);
                return -EBADMSG;
        }
        r = read_nodes(&plan, source);
        if (r >= 0)
                r = imagine_host(&plan, source);
        if (r >= 0 && host->this_host && strcmp(source, "snapshot") != 0)
                r = read_snapshot(&plan, false);
        if (r >= 0 && host->endpoint.port == 0)
                plan.endpoint = &plan.snapshot.endpoint; /* if there is one, else none */
        if (r >= 0)
                r = compute(&plan, ret);
        snapshot_deinit(&plan.snapshot);
        cluster_free(plan.cluster);
        settings_free(plan.settings);
        return r;
}

static int append_commands(json_object *list, struct text_builder *builder)
{
        for (size_t i = 0; i < json_object_array_length(list); i++)
                text_append(builder, "%s\n",
                        json_object_get_string(json_object_array_get_idx(list, i)));
        return builder->failed ? -ENOMEM : 0;
}

/* What the daemon works on: its node, device and rp_filter. */
static int learn(struct plan_host *host, json_object *status, const char *commands)
{
        const char *name = status_text(status, "NodeName");

        host->this_host = true;
        if (host->mark == 0)
                host->mark = (uint32_t)status_number(status, "DeviceMark");
        host->without_device |= !status_is(status, "DeviceUp");
        host->loose |= strstr(commands, " dev " SINK_LINK_NAME " ") != NULL;
        return host->options.node_name || !*name ? 0 : text_replace(&host->options.node_name, name);
}

static int ask_daemon(json_object **ret_status, json_object **ret_commands)
{
        _cleanup_(bus_client_freep) struct bus_client *client = NULL;
        struct error error = {};
        int r = bus_client_new(&client, &error);

        if (r >= 0)
                r = bus_client_query(client, "GetPolicy", ret_commands, &error);
        if (r >= 0)
                r = bus_client_properties(client, ret_status, &error);
        if (r >= 0 && !json_object_is_type(*ret_commands, json_type_array))
                r = error_set(&error, -EIO, "an answer that cannot be read");
        if (r < 0)
                log_error("%s", error.text);
        return r;
}

static int plan_of_daemon(struct plan_host *host, struct plan_lines *ret)
{
        _cleanup_(json_putp) json_object *status = NULL, *commands = NULL;
        struct text_builder builder = {};
        char *text = NULL;
        int r = ask_daemon(&status, &commands), taken;

        if (r < 0)
                return r;
        r = append_commands(commands, &builder);
        taken = text_take(&builder, &text);
        if (r >= 0)
                r = taken;
        if (r >= 0)
                r = learn(host, status, text);
        if (r < 0) {
                log_error("%s", strerror(-r));
                free(text);
                return r;
        }
        return plan_lines_take(text, ret);
}

static bool holds_nodes(const char *path)
{
        struct stat status;
        char byte = '\0';
        int fd;

        /* Who reads it says why not; and what can be read only once is left to it. */
        if (stat(path, &status) < 0 || !S_ISREG(status.st_mode))
                return true;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return true;
        while (read(fd, &byte, 1) == 1 && (byte == ' ' || byte == '\n' || byte == '\t'))
                ;
        close(fd);
        return byte == '{';
}

static int plan_of_file(const char *path, struct plan_lines *ret)
{
        char *text = NULL;
        int r = file_read(path, PLAN_MAX, &text, NULL);

        if (r >= 0)
                r = plan_lines_take(text, ret);
        if (r < 0) {
                log_error("%s: %s", path, strerror(-r));
                return -EIO;
        }
        for (size_t i = 0; i < ret->n; i++)
                if (strncmp(ret->items[i], "ip ", 3) != 0) {
                        log_error("%s: neither nodes nor a plan: \"%.60s\"", path, ret->items[i]);
                        plan_lines_deinit(ret);
                        return -EIO;
                }
        return 0;
}

int plan_host_read(struct plan_host *host, const char *source, struct plan_lines *ret)
{
        if (strcmp(source, "daemon") == 0)
                return plan_of_daemon(host, ret);
        if (strcmp(source, "-") == 0 || strcmp(source, "snapshot") == 0 || holds_nodes(source))
                return plan_nodes(host, source, ret);
        return plan_of_file(source, ret);
}
