#include "service/metrics.h"

#include <inttypes.h>

static void head(const char *name, const char *type, const char *help, struct text_builder *builder)
{
        text_append(builder, "# HELP nodecryptor_%s %s\n# TYPE nodecryptor_%s %s\n", name, help,
                name, type);
}

static void print_number(const char *name, const char *type, const char *help, uint64_t value,
        struct text_builder *builder)
{
        head(name, type, help, builder);
        text_append(builder, "nodecryptor_%s %" PRIu64 "\n", name, value);
}

static void gauge(const char *name, const char *help, uint64_t value, struct text_builder *builder)
{
        print_number(name, "gauge", help, value, builder);
}

static void counter(
        const char *name, const char *help, uint64_t value, struct text_builder *builder)
{
        print_number(name, "counter", help, value, builder);
}

static void seconds(const char *name, const char *help, uint64_t usec, struct text_builder *builder)
{
        head(name, "gauge", help, builder);
        text_append(builder, "nodecryptor_%s %" PRIu64 ".%06" PRIu64 "\n", name, usec / 1000000,
                usec % 1000000);
}

/* A label's value: backslash, double quote and line feed are escaped. */
static void append_label(const char *text, struct text_builder *builder)
{
        for (; *text; text++) {
                if (*text == '\n')
                        text_append(builder, "\\n");
                else
                        text_append(builder, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
        }
}

static void print_state(const struct status *status, struct text_builder *builder)
{
        head("build_info", "gauge", "Always 1; the version is the label.", builder);
        text_append(builder, "nodecryptor_build_info{version=\"%s\"} 1\n", NODECRYPTOR_VERSION);
        head("state", "gauge", "1 for the state the daemon is in, 0 for the others.", builder);
        for (unsigned i = 0; i < STATE_MAX; i++)
                text_append(builder, "nodecryptor_state{state=\"%s\"} %d\n", state_name(i),
                        status->state == i);
        gauge("state_since_timestamp_seconds", "Unix time at which the state was entered.",
                status->since, builder);
        gauge("in_sync", "1 while the kernel holds all that is wanted.", status->in_sync, builder);
        gauge("observe_only", "1 in observe mode, in which nothing is changed.",
                status->observe_only, builder);
        counter("policy_generation_total", "Policy changes applied.", status->generation, builder);
}

static const char *const roles[] = {"worker", "control_plane"};

static void print_by_family(const char *name, const char *help,
        const uint64_t counts[2][FAMILY_MAX], struct text_builder *builder)
{
        static const char *const families[FAMILY_MAX] = {
                [FAMILY_INET] = "ipv4", [FAMILY_INET6] = "ipv6"};

        head(name, "gauge", help, builder);
        for (size_t role = 0; role < ARRAY_SIZE(roles); role++)
                for (size_t family = 0; family < FAMILY_MAX; family++)
                        text_append(builder,
                                "nodecryptor_%s{family=\"%s\",role=\"%s\"} %" PRIu64 "\n", name,
                                families[family], roles[role], counts[role][family]);
}

/* What would be otherwise is known in observe mode only. */
static void print_preview(const struct status *status, struct text_builder *builder)
{
        const struct {
                const char *effect;
                uint64_t n;
        } effects[] = {
                {"move", status->preview.moved},
                {"block", status->preview.blocked},
                {"release", status->preview.released},
        };

        if (!status->observe_only)
                return;
        head("observed_destinations", "gauge",
                "Observe mode: destinations whose flows would go another way if the policy were in "
                "force: move into the device, block, release from either.",
                builder);
        for (size_t i = 0; i < ARRAY_SIZE(effects); i++)
                text_append(builder,
                        "nodecryptor_observed_destinations{effect=\"%s\"} %" PRIu64 "\n",
                        effects[i].effect, effects[i].n);
}

static void print_counts(const struct status_counts *counts, struct text_builder *builder)
{
        head("nodes", "gauge", "Nodes of the cluster that are known, this one included, by role.",
                builder);
        text_append(builder, "nodecryptor_nodes{role=\"%s\"} %" PRIu64 "\n", roles[0],
                counts->nodes - counts->control_planes);
        text_append(builder, "nodecryptor_nodes{role=\"%s\"} %" PRIu64 "\n", roles[1],
                counts->control_planes);
        print_by_family("pod_prefixes", "Pod prefixes of other nodes, by their role and family.",
                counts->prefixes, builder);
        print_by_family("node_addresses",
                "Addresses of other nodes that are steered, by their role and family.",
                counts->addresses, builder);
        gauge("exemptions", "Exemptions configured.", counts->exemptions, builder);
        gauge("kernel_rules", "Rules of ours in the kernel.", counts->rules, builder);
        gauge("kernel_routes", "Routes of ours in the kernel.", counts->routes, builder);
        gauge("findings", "Contradictions in what the cluster or the device says.",
                counts->findings, builder);
        gauge("rp_filter_strict_links",
                "Links towards other nodes with rp_filter 1: nothing encrypted comes in there.",
                counts->strict_links, builder);
        counter("bad_objects_total",
                "Objects of the API that were left out because they cannot be used.",
                counts->bad_objects, builder);
}

static void print_device(const struct status_device *device, struct text_builder *builder)
{
        head("device_up", "gauge", "1 while the WireGuard device is present and up.", builder);
        text_append(builder, "nodecryptor_device_up{device=\"");
        append_label(device->name, builder);
        text_append(builder, "\"} %d\n", device->present && device->up);
        gauge("device_mark_known", "1 when the mark was read from the device, not assumed.",
                device->mark_known, builder);
}

/* Absent while nothing is known: a count of 0 would say that all is well. */
static void print_peers(const struct status_peers *peers, struct text_builder *builder)
{
        const struct {
                const char *state;
                uint64_t nodes;
        } states[] = {
                {"carried", peers->carried},
                {"missing", peers->missing},
                {"mismatched", peers->mismatched},
                {"stale", peers->stale},
        };

        if (!peers->known)
                return;
        head("wireguard_nodes", "gauge",
                "Nodes by what the device's peers do with their steered addresses: carried, "
                "missing (no peer carries one), mismatched (a peer with another key does), stale "
                "(the peer does not answer).",
                builder);
        for (size_t i = 0; i < ARRAY_SIZE(states); i++)
                text_append(builder, "nodecryptor_wireguard_nodes{state=\"%s\"} %" PRIu64 "\n",
                        states[i].state, states[i].nodes);
        gauge("wireguard_undecided_nodes",
                "Nodes with a problem that has not lasted for 30 s yet, and is not counted.",
                peers->undecided, builder);
        gauge("wireguard_peers", "Peers of the device.", peers->peers, builder);
        gauge("wireguard_unknown_peers",
                "Peers of no CiliumNode: another cluster's (ClusterMesh), or left over.",
                peers->unknown_peers, builder);
}

static void print_sources(const struct status *status, uint64_t now, struct text_builder *builder)
{
        uint64_t age = status_knowledge_age(status, now);

        head("knowledge", "gauge", "1 for the source of the nodes in force, 0 for the others.",
                builder);
        for (unsigned i = 0; i < KNOWLEDGE_MAX; i++)
                text_append(builder, "nodecryptor_knowledge{source=\"%s\"} %d\n", knowledge_name(i),
                        status->knowledge == i);
        if (age != UINT64_MAX)
                gauge("knowledge_age_seconds",
                        "How old what is known of the nodes is; absent while nothing is known.",
                        age, builder);
        gauge("api_last_contact_timestamp_seconds",
                "Unix time of the last answer of the API server, 0 before the first.",
                status->last_contact, builder);
        gauge("snapshot_saved_timestamp_seconds",
                "Unix time at which the snapshot was written, 0 without one.",
                status->snapshot_saved, builder);
}

/* Labels of requests and restarts: see struct status_api. */
static void print_api(const struct status_api *api, struct text_builder *builder)
{
        static const char *const codes[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
        static const char *const reasons[STATUS_WATCH_RESTARTS] = {
                "closed", "expired", "silent", "refused", "broken", "resync"};

        head("api_requests_total", "counter",
                "Requests to the API server that have ended, by class of status code; none: "
                "without an answer.",
                builder);
        for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
                text_append(builder, "nodecryptor_api_requests_total{code=\"%s\"} %" PRIu64 "\n",
                        codes[i], api->requests[i]);
        head("api_watch_restarts_total", "counter",
                "Watches of the API server that ended: closed by the server, expired, silent for "
                "too long, refused, broken, or for a resync.",
                builder);
        for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
                text_append(builder,
                        "nodecryptor_api_watch_restarts_total{reason=\"%s\"} %" PRIu64 "\n",
                        reasons[i], api->watch_restarts[i]);
}

static void print_durations(const struct status_histogram *durations, struct text_builder *builder)
{
        uint64_t n = 0;

        head("reconcile_duration_seconds", "histogram", "How long reconciles took.", builder);
        for (size_t i = 0; i < STATUS_DURATIONS; i++) {
                n += durations->classes[i];
                text_append(builder,
                        "nodecryptor_reconcile_duration_seconds_bucket{le=\"%g\"} %" PRIu64 "\n",
                        (double)status_durations[i] / 1e6, n);
        }
        n += durations->classes[STATUS_DURATIONS];
        text_append(builder,
                "nodecryptor_reconcile_duration_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n"
                "nodecryptor_reconcile_duration_seconds_sum %" PRIu64 ".%06" PRIu64 "\n"
                "nodecryptor_reconcile_duration_seconds_count %" PRIu64 "\n",
                n, durations->sum_usec / 1000000, durations->sum_usec % 1000000, n);
}

static void print_repairs(const uint64_t repairs[REPAIR_MAX], struct text_builder *builder)
{
        head("repairs_total", "counter",
                "Reconciles that wrote although the wanted policy was the same, by what they found "
                "changed: foreign_change, device, host (addresses, rp_filter), lost_events, retry, "
                "rescan (nothing had been announced).",
                builder);
        for (unsigned i = 0; i < REPAIR_MAX; i++)
                text_append(builder, "nodecryptor_repairs_total{cause=\"%s\"} %" PRIu64 "\n",
                        repair_name(i), repairs[i]);
}

static void print_totals(const struct status *status, struct text_builder *builder)
{
        const struct status_totals *totals = &status->totals;

        head("reconciles_total", "counter", "Reconciles, by result.", builder);
        text_append(builder, "nodecryptor_reconciles_total{result=\"ok\"} %" PRIu64 "\n",
                totals->reconciles_ok);
        text_append(builder, "nodecryptor_reconciles_total{result=\"failed\"} %" PRIu64 "\n",
                totals->reconciles_failed);
        seconds("reconcile_last_duration_seconds", "How long the last reconcile took.",
                status->last_reconcile_usec, builder);
        seconds("reconcile_last_delay_seconds",
                "Of the last reconcile that wrote: from the first reason for it, such as the API "
                "server's word, to its last write.",
                status->last_delay_usec, builder);
        counter("partial_reconciles_total",
                "Reconciles among them that looked at the nodes that changed and no others.",
                totals->reconciles_partial, builder);
        counter("objects_written_total", "Rules, routes and links written to the kernel.",
                totals->objects_written, builder);
        counter("foreign_changes_total", "Changes of ours by somebody else, repaired.",
                totals->foreign_changes, builder);
        counter("fights_total", "Times that somebody began to take ours away again and again.",
                totals->fights, builder);
        gauge("fight", "1 while somebody takes ours away again and again.", status->fight[0] != 0,
                builder);
}

void metrics_print(const struct status *status, uint64_t now, struct text_builder *builder)
{
        print_state(status, builder);
        print_preview(status, builder);
        print_counts(&status->counts, builder);
        print_device(&status->device, builder);
        print_peers(&status->peers, builder);
        print_sources(status, now, builder);
        print_api(&status->requests, builder);
        print_totals(status, builder);
        print_durations(&status->totals.durations, builder);
        print_repairs(status->totals.repairs, builder);
}
