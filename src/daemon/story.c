#include "daemon/story.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "basics/log.h"
#include "basics/message_id.h"
#include "policy/format.h"

/* So long after the start an old snapshot is nothing to tell: the API server is being asked. */
#define SETTLING_S           30
/* Distinct texts about bad objects that are told one by one between two lists. */
#define BAD_OBJECTS_TOLD_MAX 32

static uint64_t now(void)
{
        return (uint64_t)time(NULL);
}

/* Copies `text` into the room; true when it is another text than before. */
static bool is_news(char *told, size_t size, const char *text)
{
        size_t length = strnlen(text, size - 1);

        if (strlen(told) == length && memcmp(told, text, length) == 0)
                return false;
        memcpy(told, text, length);
        told[length] = '\0';
        return true;
}

void story_init(struct story *story, const struct settings *settings)
{
        *story = (struct story){.begun = now()};
        status_set_state(&story->status, STATE_STARTING, now(), "%s", "");
        story_settings(story, settings);
}

void story_deinit(struct story *story)
{
        free(story->findings);
        free(story->bad_objects);
        *story = (struct story){};
}

void story_settings(struct story *story, const struct settings *settings)
{
        struct status *status = &story->status;

        STATUS_PRINT(status->device.name, "%s", settings->interface);
        status->observe_only = settings->mode == MODE_OBSERVE;
        status->counts.exemptions = settings->n_exemptions;
        story->device_told = false;
}

static const char *device_problem(const struct link *link)
{
        if (link->ifindex == 0)
                return "is not there";
        if (!link_encrypts(link))
                return "is no WireGuard device";
        if (!link->up)
                return "is down";
        return "has no mark yet";
}

static void tell_device(
        struct story *story, const struct settings *settings, const struct reconcile_result *result)
{
        const struct link *link = &result->link;
        char index[48];
        const char *fields[] = {index, NULL};

        snprintf(index, sizeof(index), "NODECRYPTOR_IFINDEX=%u", link->ifindex);
        if (story->device_told && story->device_usable == result->device_usable &&
                story->link.ifindex == link->ifindex && story->link.up == link->up &&
                story->mark == result->mark)
                return;
        if (result->device_usable)
                log_event(LOG_NOTICE, MESSAGE_DEVICE, fields,
                        "device %s is up (index %u, mark %#x %s)", link->name, link->ifindex,
                        result->mark, result->mark_known ? "read from it" : "assumed");
        else
                log_event(LOG_NOTICE, MESSAGE_DEVICE, fields, "device %s %s: steered traffic is %s",
                        settings->interface, device_problem(link),
                        settings->on_tunnel_down == TUNNEL_DOWN_BLOCK
                                ? "blocked until it is up"
                                : "sent in PLAINTEXT until it is up (on_tunnel_down = \"bypass\")");
        story->device_told = true;
        story->device_usable = result->device_usable;
        story->link = *link;
        story->mark = result->mark;
}

static void tell_findings(struct story *story, struct reconcile_result *result)
{
        char *text = NULL, *line, *rest;

        if (result->partial || text_take(&result->findings, &text) < 0)
                return;
        if (text_equal(text, story->findings)) {
                free(text);
                return;
        }
        rest = strdup(text);
        for (char *all = rest; rest && (line = strsep(&all, "\n"));)
                if (*line && !(story->findings && strstr(story->findings, line)))
                        log_event(LOG_WARNING, MESSAGE_FINDING, NULL, "%s", line);
        free(rest);
        free(story->findings);
        story->findings = text;
}

static void tell_aliens(struct story *story, const struct reconcile_result *result)
{
        if (is_news(story->alien, sizeof(story->alien), result->first_alien) && result->aliens > 0)
                log_event(LOG_WARNING, MESSAGE_CONFLICT, NULL,
                        "%zu objects that are not ours lie in our priorities or tables and are "
                        "left "
                        "alone, the first is: %s",
                        result->aliens, result->first_alien);
}

static void tell_record(struct story *story, const struct reconcile_result *result)
{
        if (is_news(story->record_error, sizeof(story->record_error), result->record_error.text) &&
                result->record_error.code != 0)
                log_warning("cannot remember our tables and priorities, a later change of them may "
                            "leave old rules: %s",
                        result->record_error.text);
}

static void fill_counts(struct story *story, const struct knowledge *knowledge,
        const struct reconcile_result *result)
{
        struct status_counts *counts = &story->status.counts;

        counts->nodes = knowledge->cluster->n_nodes;
        counts->control_planes = result->control_planes;
        for (int role = 0; role < ROLE_MAX; role++)
                for (int family = 0; family < FAMILY_MAX; family++) {
                        counts->addresses[role][family] = result->steered.addresses[role][family];
                        counts->prefixes[role][family] = result->steered.pod_prefixes[role][family];
                }
        counts->pod_prefixes = result->pods;
        counts->node_addresses = result->nodes;
        counts->rules = result->rules;
        counts->routes = result->routes;
        counts->findings = result->n_findings;
        counts->strict_links = result->strict_links;
}

static void fill_device(struct story *story, const struct reconcile_result *result)
{
        struct status_device *device = &story->status.device;

        device->present = result->link.ifindex != 0;
        device->up = result->device_usable;
        device->mtu = result->link.mtu;
        device->mark = result->mark;
        device->mark_known = result->mark_known;
}

static enum state state_after(
        const struct settings *settings, const struct reconcile_result *result, int code)
{
        if (code < 0)
                return STATE_DEGRADED;
        if (settings->mode == MODE_OBSERVE)
                return STATE_OBSERVING;
        return result->problem[0] ? STATE_DEGRADED : STATE_ENFORCING;
}

static void tell_state(struct story *story, const struct settings *settings,
        const struct reconcile_result *result, int code)
{
        struct status *status = &story->status;
        char objects[64];
        const char *fields[] = {objects, NULL};

        snprintf(objects, sizeof(objects), "NODECRYPTOR_OBJECTS_WRITTEN=%zu", result->written);
        if (!status_set_state(status, state_after(settings, result, code), now(), "%s",
                    code < 0 ? result->error.text : result->problem))
                return;
        if (code < 0)
                log_event(LOG_ERR, MESSAGE_DEGRADED, fields,
                        "the kernel is not as it should be: %s; what stood before stands, trying "
                        "again",
                        result->error.text);
        else if (settings->mode == MODE_OBSERVE)
                log_event(LOG_NOTICE, MESSAGE_ENFORCING, fields,
                        "observing: %zu changes to the kernel would enforce the policy",
                        result->pending);
        else if (result->problem[0]) /* the finding has the words */
                log_event(LOG_ERR, MESSAGE_DEGRADED, fields,
                        "the kernel holds the policy, but not all that is encrypted arrives: see "
                        "the finding");
        else
                log_event(LOG_NOTICE, MESSAGE_ENFORCING, fields,
                        "the kernel holds the policy: %zu rules, %zu routes, %s", result->rules,
                        result->routes,
                        result->untouched ? "as they stood" : "written and read back");
}

/* In observe mode: what would be, whenever that is something else. */
static void tell_preview(struct story *story, const struct settings *settings,
        const struct knowledge *knowledge, const struct reconcile_result *result)
{
        struct status_preview *preview = &story->status.preview;
        struct text_builder text = {};
        char told[STATUS_TEXT_MAX];

        memcpy(told, preview->text, sizeof(told));
        *preview = (struct status_preview){
                .moved = result->preview.effects[EFFECT_MOVED].n,
                .blocked = result->preview.effects[EFFECT_BLOCKED].n,
                .released = result->preview.effects[EFFECT_RELEASED].n,
        };
        if (settings->mode == MODE_OBSERVE) {
                preview_format(&result->preview, knowledge->cluster, settings->interface, &text);
                STATUS_PRINT(preview->text, "%s", text.text && !text.failed ? text.text : "");
        }
        text_deinit(&text);
        if (strcmp(told, preview->text) != 0 && preview->text[0])
                log_event(LOG_NOTICE, MESSAGE_PREVIEW, NULL,
                        "observing: were the policy in force, %s", preview->text);
}

void story_reconciled(struct story *story, const struct settings *settings,
        const struct knowledge *knowledge, struct reconcile_result *result, int code,
        uint64_t duration_usec)
{
        struct status *status = &story->status;
        const char *name = knowledge_node_name(knowledge, settings->node_name);

        fill_counts(story, knowledge, result);
        fill_device(story, result);
        STATUS_PRINT(status->node_name, "%s", name ? name : "");
        status->node_known = result->is_known;
        status->control_plane = result->is_control_plane;
        status->in_sync = result->in_sync;
        if (result->in_sync)
                status->last_sync = now();
        status->knowledge = knowledge->source;
        status->snapshot_saved = knowledge->saved_at;
        status->last_reconcile_usec = duration_usec;
        status_count_duration(&status->totals.durations, duration_usec);
        status->totals.objects_written += result->written;
        if (code < 0)
                status->totals.reconciles_failed++;
        else
                status->totals.reconciles_ok++;
        status->totals.reconciles_partial += result->partial;
        if (result->written > 0) {
                status->generation++;
                /* In a fight there is one after the other. */
                log_write(status->fight[0] ? LOG_DEBUG : LOG_INFO,
                        "generation %" PRIu64 ": %zu objects written in %" PRIu64
                        " µs (%zu nodes, %zu pod prefixes, %zu addresses)",
                        status->generation, result->written, duration_usec,
                        knowledge->cluster->n_nodes, result->pods, result->nodes);
        }
        tell_device(story, settings, result);
        tell_findings(story, result);
        tell_aliens(story, result);
        tell_record(story, result);
        tell_state(story, settings, result, code);
        tell_preview(story, settings, knowledge, result);
}

void story_snapshot_loaded(
        struct story *story, const struct knowledge *knowledge, int code, const struct error *error)
{
        char saved[32] = "?";
        time_t at = (time_t)knowledge->saved_at;
        struct tm broken;

        story->status.snapshot_saved = knowledge->saved_at;
        if (code == 0) {
                log_info("no snapshot: until the API server has answered, only what the "
                         "configuration "
                         "protects is added to what an earlier run left in the kernel");
        } else if (code > 0) {
                if (gmtime_r(&at, &broken))
                        strftime(saved, sizeof(saved), "%FT%TZ", &broken);
                log_event(LOG_NOTICE, MESSAGE_SNAPSHOT, NULL,
                        "applying the snapshot of %s: %zu nodes", saved,
                        knowledge->cluster->n_nodes);
        } else {
                log_event(LOG_WARNING, MESSAGE_SNAPSHOT, NULL, "snapshot not applied: %s",
                        error->text);
        }
}

void story_snapshot_saved(
        struct story *story, const struct knowledge *knowledge, int code, const struct error *error)
{
        story->status.snapshot_saved = knowledge->saved_at;
        STATUS_PRINT(story->status.snapshot_error, "%s", code < 0 ? error->text : "");
        if (!is_news(story->snapshot_error, sizeof(story->snapshot_error),
                    code < 0 ? error->text : ""))
                return;
        if (code < 0)
                log_event(LOG_WARNING, MESSAGE_SNAPSHOT, NULL,
                        "the snapshot cannot be written, a reboot would start from an older one: "
                        "%s",
                        error->text);
        else
                log_event(LOG_NOTICE, MESSAGE_SNAPSHOT, NULL, "the snapshot can be written again");
}

void story_credential(
        struct story *story, const struct credential *credential, const struct error *error)
{
        char text[640];

        if (error)
                snprintf(text, sizeof(text), "%s: %s",
                        credential ? "the credential's files cannot be used just now, the one read "
                                     "before stays in force"
                                   : "no credential yet, waiting for one",
                        error->text);
        else
                snprintf(text, sizeof(text), "credential of %s from %s for %s",
                        credential->node_name ? credential->node_name : "(no node)",
                        credential->kubeconfig_path, credential->server.text);
        if (!credential)
                STATUS_PRINT(story->status.api, "no credential yet");
        if (!is_news(story->credential, sizeof(story->credential), text))
                return;
        log_event(error && credential ? LOG_WARNING : LOG_NOTICE, MESSAGE_CREDENTIAL, NULL, "%s",
                text);
        if (!error && credential->insecure_skip_tls_verify)
                log_event(LOG_WARNING, MESSAGE_CREDENTIAL, NULL,
                        "%s says insecure-skip-tls-verify: whoever answers at %s decides what is "
                        "steered",
                        credential->kubeconfig_path, credential->server.text);
}

void story_other_cluster(struct story *story, const struct credential *credential)
{
        (void)story;
        log_event(LOG_WARNING, MESSAGE_SNAPSHOT, NULL,
                "the credential is for another cluster (%s) than the nodes that are in force; they "
                "stay until its API server has answered",
                credential->server.text);
}

void story_endpoint(struct story *story, const struct endpoint *endpoint)
{
        struct text_builder builder = {};
        char text[ADDRESS_TEXT_MAX];

        (void)story;
        for (size_t i = 0; i < endpoint->n_addresses; i++)
                text_append(&builder, " %s", address_format(&endpoint->addresses[i], text));
        log_info("API endpoint: port %u at%s", endpoint->port,
                builder.text ? builder.text : " no address that leaves the host");
        text_deinit(&builder);
}

void story_nodes(struct story *story, const struct knowledge *knowledge)
{
        char nodes[48];
        const char *fields[] = {nodes, NULL};

        snprintf(nodes, sizeof(nodes), "NODECRYPTOR_NODES=%zu", knowledge->cluster->n_nodes);
        log_event(LOG_NOTICE, MESSAGE_NODES, fields, "node list from the API server: %zu nodes",
                knowledge->cluster->n_nodes);
        free(story->bad_objects);
        story->bad_objects = NULL;
        story->n_bad_objects = 0;
}

void story_knowledge_age(struct story *story, uint64_t at)
{
        uint64_t age = status_knowledge_age(&story->status, at);
        bool stale = age != UINT64_MAX && age > STATUS_AGE_MAX;
        char seconds[64];
        const char *fields[] = {seconds, NULL};

        if (stale == story->stale || (stale && at - story->begun < SETTLING_S))
                return;
        story->stale = stale;
        snprintf(seconds, sizeof(seconds), "NODECRYPTOR_KNOWLEDGE_AGE_SEC=%" PRIu64, age);
        if (stale)
                log_event(LOG_WARNING, MESSAGE_KNOWLEDGE_AGE, fields,
                        "the nodes in force are as of %" PRIu64
                        " s ago: nodes that have come or changed since are not known; the policy "
                        "stays as it is",
                        age);
        else
                log_event(LOG_NOTICE, MESSAGE_KNOWLEDGE_AGE, fields,
                        "what is known of the nodes is fresh again");
}

void story_bad_object(struct story *story, const char *name, const struct error *error)
{
        struct text_builder told = {};

        story->status.counts.bad_objects++;
        text_append(&told, "%sCiliumNode %s cannot be used and is left out: %s\n",
                story->bad_objects ? story->bad_objects : "", name ? name : "(without a name)",
                error->text);
        if (!told.failed && story->n_bad_objects < BAD_OBJECTS_TOLD_MAX) {
                const char *line =
                        told.text + (story->bad_objects ? strlen(story->bad_objects) : 0);

                if (!(story->bad_objects && strstr(story->bad_objects, line))) {
                        log_event(LOG_WARNING, MESSAGE_BAD_OBJECT, NULL, "%.*s",
                                (int)strcspn(line, "\n"), line);
                        story->n_bad_objects++;
                        free(story->bad_objects);
                        story->bad_objects = TAKE_PTR(told.text);
                }
        }
        text_deinit(&told);
}

void story_runtime_state(struct story *story, int code)
{
        int problem = code < 0 ? code : 0;

        if (problem == story->runtime_error)
                return;
        story->runtime_error = problem;
        if (problem != 0)
                log_warning("the state in " RUNTIME_FOLDER " cannot be written: %s",
                        strerror(-problem));
        else
                log_notice("the state in " RUNTIME_FOLDER " can be written again");
}

void story_api(struct story *story, enum reflector_state state, const struct error *error)
{
        struct status *status = &story->status;

        if (error)
                STATUS_PRINT(status->api, "%s (%s)", reflector_state_name(state), error->text);
        else
                STATUS_PRINT(status->api, "%s", reflector_state_name(state));
        if (error) {
                if (is_news(story->api, sizeof(story->api), error->text))
                        log_event(LOG_WARNING, MESSAGE_API, NULL,
                                "the API server cannot be watched: %s; the policy stays as it is",
                                error->text);
                story->endpoint_lost = true;
        } else if (state == REFLECTOR_WATCHING) {
                if (story->endpoint_lost || !*story->api)
                        log_event(LOG_NOTICE, MESSAGE_API, NULL, "watching the API server");
                snprintf(story->api, sizeof(story->api), "watching");
                story->endpoint_lost = false;
        }
}
