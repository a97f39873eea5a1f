/*
 * The status: its line for the service manager, its metrics, what health says, and sd_notify with
 * the watchdog.
 */
#include <ctype.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "service/health.h"
#include "service/metrics.h"
#include "service/notify.h"
#include "service/status.h"
#include "test.h"

#define NOW UINT64_C(1700000000)

/* A status in which every number differs from every other. */
static struct status sample(void)
{
        struct status status = {
                .since = NOW - 60,
                .state = STATE_ENFORCING,
                .generation = 12,
                .in_sync = true,
                .node_name = "node-1",
                .node_known = true,
                .counts = {5, 3, 8, 9, 2, 14, 37, 0, 0, 17, {{61, 62}, {63, 64}},
                        {{65, 66}, {67, 68}}},
                .requests = {{70, 71, 72, 73, 74, 75}, {80, 81, 82, 83, 84, 85}},
                .device = {.name = "cilium_wg0", .present = true, .up = true, .mark = 0xe00},
                .peers = {true, 41, 42, 43, 44, 45, 46, 47, "42 missing (worker-2)"},
                .api = "watching",
                .last_contact = NOW - 4,
                .knowledge = KNOWLEDGE_API,
                .knowledge_at = NOW - 5,
                .snapshot_saved = NOW - 90,
                .last_reconcile_usec = 1002003,
                .last_delay_usec = 2000004,
                .totals = {21, 22, 27, 23, 24, 28, {91, 92, 93, 94, 95, 96},
                        {{1, 2, 0, 0, 0, 0, 0, 0, 3, 4}, 5000006}},
        };

        return status;
}

static void line_is(const struct status *status, const char *wanted)
{
        struct text_builder builder = {};
        _cleanup_free_ char *line = NULL;

        status_line(status, NOW, &builder);
        CHECK(text_take(&builder, &line) >= 0);
        CHECK_TEXT(line, wanted);
}

static void lines(void)
{
        struct status status = sample();

        line_is(&status,
                "Enforcing 5 nodes (3 control planes) as of 5 s ago, device cilium_wg0 up, "
                "WireGuard peers: 42 missing (worker-2), API watching, generation 12");
        status.peers = (struct status_peers){};
        status.device.up = false;
        status.knowledge = KNOWLEDGE_SNAPSHOT;
        status.knowledge_at = status.snapshot_saved;
        STATUS_PRINT(status.api, "no credential yet");
        line_is(&status, "Enforcing 5 nodes (3 control planes) as of 90 s ago (snapshot), device "
                         "cilium_wg0 down, API no credential yet, generation 12");
        status.device.present = false;
        status.counts.findings = 2;
        status_set_state(&status, STATE_DEGRADED, NOW, "the kernel refused %d routes", 3);
        line_is(&status, "Degraded (the kernel refused 3 routes): 5 nodes (3 control planes) as of "
                         "90 s ago (snapshot), device cilium_wg0 absent, API no credential yet, "
                         "generation 12, 2 findings");
        status.counts.findings = 0;
        STATUS_PRINT(status.snapshot_error, "disk full");
        line_is(&status, "Degraded (the kernel refused 3 routes): 5 nodes (3 control planes) as of "
                         "90 s ago (snapshot), device cilium_wg0 absent, API no credential yet, "
                         "snapshot not written: disk full, generation 12");
        status = (struct status){};
        line_is(&status, "Starting, no nodes known yet, generation 0");
}

static void state_changes(void)
{
        struct status status = {};

        CHECK(status_set_state(&status, STATE_ENFORCING, NOW, "%s", ""));
        CHECK_INT(status.since, NOW);
        CHECK(!status_set_state(&status, STATE_ENFORCING, NOW + 1, "%s", ""));
        CHECK_INT(status.since, NOW);
        /* Another reason is news, but the state has lasted since then. */
        CHECK(status_set_state(&status, STATE_ENFORCING, NOW + 2, "why"));
        CHECK_INT(status.since, NOW);
        CHECK(status_set_state(&status, STATE_DEGRADED, NOW + 3, "why"));
        CHECK_INT(status.since, NOW + 3);
        CHECK_TEXT(state_name(STATE_OBSERVING), "observing");
        CHECK_TEXT(knowledge_name(KNOWLEDGE_SNAPSHOT), "snapshot");
        CHECK_TEXT(state_name((enum state)99), "unknown");
}

static void long_texts_are_cut(void)
{
        static char text[2 * STATUS_TEXT_MAX];
        struct status status = {};

        memset(text, 'x', sizeof(text) - 1);
        status_set_state(&status, STATE_DEGRADED, NOW, "%s", text);
        CHECK_INT(strlen(status.reason), STATUS_TEXT_MAX - 1);
        STATUS_PRINT(status.device.name, "%s", text);
        CHECK_INT(strlen(status.device.name), sizeof(status.device.name) - 1);
}

static char *metrics_of(const struct status *status)
{
        struct text_builder builder = {};
        char *text = NULL;

        metrics_print(status, NOW, &builder);
        CHECK(text_take(&builder, &text) >= 0);
        return text;
}

static void metrics_values(void)
{
        struct status status = sample();
        _cleanup_free_ char *text = metrics_of(&status);

        CHECK_HAS(text, "\nnodecryptor_state{state=\"enforcing\"} 1\n");
        CHECK_HAS(text, "\nnodecryptor_state{state=\"degraded\"} 0\n");
        CHECK_HAS(text, "\nnodecryptor_state_since_timestamp_seconds 1699999940\n");
        CHECK_HAS(text, "\nnodecryptor_build_info{version=\"" NODECRYPTOR_VERSION "\"} 1\n");
        CHECK_HAS(text, "\nnodecryptor_in_sync 1\n");
        CHECK_HAS(text, "\nnodecryptor_observe_only 0\n");
        CHECK_HAS(text, "\nnodecryptor_policy_generation_total 12\n");
        CHECK_HAS(text, "\nnodecryptor_nodes{role=\"worker\"} 2\n");
        CHECK_HAS(text, "\nnodecryptor_nodes{role=\"control_plane\"} 3\n");
        CHECK_HAS(text, "\nnodecryptor_node_addresses{family=\"ipv4\",role=\"worker\"} 61\n");
        CHECK_HAS(text, "\nnodecryptor_node_addresses{family=\"ipv6\",role=\"worker\"} 62\n");
        CHECK_HAS(text, "\nnodecryptor_pod_prefixes{family=\"ipv4\",role=\"control_plane\"} 67\n");
        CHECK_HAS(text, "\nnodecryptor_pod_prefixes{family=\"ipv6\",role=\"control_plane\"} 68\n");
        CHECK_HAS(text, "\nnodecryptor_bad_objects_total 17\n");
        CHECK_HAS(text, "\nnodecryptor_api_requests_total{code=\"none\"} 70\n");
        CHECK_HAS(text, "\nnodecryptor_api_requests_total{code=\"5xx\"} 75\n");
        CHECK_HAS(text, "\nnodecryptor_api_watch_restarts_total{reason=\"closed\"} 80\n");
        CHECK_HAS(text, "\nnodecryptor_api_watch_restarts_total{reason=\"resync\"} 85\n");
        CHECK_HAS(text, "\nnodecryptor_repairs_total{cause=\"foreign_change\"} 91\n");
        CHECK_HAS(text, "\nnodecryptor_repairs_total{cause=\"rescan\"} 96\n");
        CHECK_HAS(text, "\nnodecryptor_exemptions 2\n");
        CHECK_HAS(text, "\nnodecryptor_kernel_rules 14\n");
        CHECK_HAS(text, "\nnodecryptor_kernel_routes 37\n");
        CHECK_HAS(text, "\nnodecryptor_device_up{device=\"cilium_wg0\"} 1\n");
        CHECK_HAS(text, "\nnodecryptor_wireguard_nodes{state=\"carried\"} 41\n");
        CHECK_HAS(text, "\nnodecryptor_wireguard_nodes{state=\"missing\"} 42\n");
        CHECK_HAS(text, "\nnodecryptor_wireguard_nodes{state=\"mismatched\"} 43\n");
        CHECK_HAS(text, "\nnodecryptor_wireguard_nodes{state=\"stale\"} 44\n");
        CHECK_HAS(text, "\nnodecryptor_wireguard_undecided_nodes 45\n");
        CHECK_HAS(text, "\nnodecryptor_wireguard_peers 46\n");
        CHECK_HAS(text, "\nnodecryptor_wireguard_unknown_peers 47\n");
        CHECK_HAS(text, "\nnodecryptor_knowledge{source=\"api\"} 1\n");
        CHECK_HAS(text, "\nnodecryptor_knowledge_age_seconds 5\n");
        CHECK_HAS(text, "\nnodecryptor_api_last_contact_timestamp_seconds 1699999996\n");
        CHECK_HAS(text, "\nnodecryptor_snapshot_saved_timestamp_seconds 1699999910\n");
        CHECK_HAS(text, "\nnodecryptor_reconciles_total{result=\"ok\"} 21\n");
        CHECK_HAS(text, "\nnodecryptor_reconciles_total{result=\"failed\"} 22\n");
        CHECK_HAS(text, "\nnodecryptor_partial_reconciles_total 27\n");
        CHECK_HAS(text, "\nnodecryptor_reconcile_last_duration_seconds 1.002003\n");
        CHECK_HAS(text, "\nnodecryptor_reconcile_last_delay_seconds 2.000004\n");
        CHECK_HAS(text, "\nnodecryptor_objects_written_total 23\n");
        CHECK_HAS(text, "\nnodecryptor_foreign_changes_total 24\n");
}

static void age(void)
{
        struct status status = sample();

        CHECK_INT(status_knowledge_age(&status, NOW), 5);
        /* The clock was set back. */
        CHECK_INT(status_knowledge_age(&status, NOW - 10), 0);
        status.knowledge_at = 0;
        CHECK(status_knowledge_age(&status, NOW) == UINT64_MAX);
        status = sample();
        status.knowledge = KNOWLEDGE_NONE;
        CHECK(status_knowledge_age(&status, NOW) == UINT64_MAX);
}

static void metrics_labels_are_escaped(void)
{
        struct status status = {.device.name = "a\"b\\c\nd"};
        _cleanup_free_ char *text = metrics_of(&status);

        /* Nothing is known: it has no age, and the peers are not counted. */
        CHECK(!strstr(text, "nodecryptor_wireguard"));
        CHECK(!strstr(text, "nodecryptor_knowledge_age_seconds"));
        CHECK(!strstr(text, "nodecryptor_observed_destinations"));
        CHECK_HAS(text, "{device=\"a\\\"b\\\\c\\nd\"} 0\n");
}

static void metrics_histogram(void)
{
        struct status status = sample();
        _cleanup_free_ char *text = NULL;

        status_count_duration(&status.totals.durations, 1000);
        status_count_duration(&status.totals.durations, 1001);
        status_count_duration(&status.totals.durations, 10000001);
        text = metrics_of(&status);
        CHECK_HAS(text, "\nnodecryptor_reconcile_duration_seconds_bucket{le=\"0.001\"} 2\n");
        CHECK_HAS(text, "\nnodecryptor_reconcile_duration_seconds_bucket{le=\"0.0025\"} 5\n");
        CHECK_HAS(text, "\nnodecryptor_reconcile_duration_seconds_bucket{le=\"10\"} 8\n");
        CHECK_HAS(text, "\nnodecryptor_reconcile_duration_seconds_bucket{le=\"+Inf\"} 13\n");
        CHECK_HAS(text, "\nnodecryptor_reconcile_duration_seconds_sum 15.002008\n");
        CHECK_HAS(text, "\nnodecryptor_reconcile_duration_seconds_count 13\n");
}

static void metrics_while_observing(void)
{
        struct status status = sample();
        _cleanup_free_ char *text = NULL;

        status.observe_only = true;
        status.preview = (struct status_preview){51, 52, 53, "51 destinations would move"};
        text = metrics_of(&status);
        CHECK_HAS(text, "\nnodecryptor_observed_destinations{effect=\"move\"} 51\n");
        CHECK_HAS(text, "\nnodecryptor_observed_destinations{effect=\"block\"} 52\n");
        CHECK_HAS(text, "\nnodecryptor_observed_destinations{effect=\"release\"} 53\n");
}

/* One line of the exposition format; `family` is the name that the last TYPE line gave. */
static void check_metrics_line(char *line, char *family, size_t size)
{
        char *value = strrchr(line, ' '), *end;
        size_t n = strlen(family);

        CHECK(value);
        if (strncmp(line, "# HELP ", 7) == 0)
                return;
        if (strncmp(line, "# TYPE ", 7) == 0) {
                CHECK(strcmp(value, " gauge") == 0 || strcmp(value, " counter") == 0 ||
                        strcmp(value, " histogram") == 0);
                *value = '\0';
                snprintf(family, size, "%s", line + 7);
                n = strlen(family);
                /* A counter ends in _total and nothing else does. */
                CHECK((strcmp(value + 1, "counter") == 0) ==
                        (n > 6 && strcmp(family + n - 6, "_total") == 0));
                return;
        }
        CHECK(strncmp(line, family, n) == 0);
        CHECK(line[n] == ' ' || line[n] == '{' || strncmp(line + n, "_bucket{", 8) == 0 ||
                strncmp(line + n, "_sum ", 5) == 0 || strncmp(line + n, "_count ", 7) == 0);
        CHECK(isdigit((unsigned char)value[1]));
        (void)strtod(value + 1, &end);
        CHECK(*end == '\0');
}

static void metrics_format(void)
{
        struct status status = sample();
        _cleanup_free_ char *text = metrics_of(&status);
        char family[128] = "none yet", *rest = text, *line;
        unsigned lines_seen = 0;

        CHECK(text[strlen(text) - 1] == '\n');
        text[strlen(text) - 1] = '\0';
        while ((line = strsep(&rest, "\n"))) {
                check_metrics_line(line, family, sizeof(family));
                lines_seen++;
        }
        CHECK(lines_seen > 60);
}

static void health_says(
        unsigned code, unsigned wanted, struct text_builder *builder, const char *text)
{
        _cleanup_free_ char *body = NULL;

        CHECK(text_take(builder, &body) >= 0);
        CHECK_INT(code, wanted);
        CHECK_TEXT(body, text);
}

static void health(void)
{
        struct status status = {};
        struct text_builder builder = {};

        health_says(health_live(&status, true, &builder), 200, &builder, "ok\n");
        health_says(health_live(&status, false, &builder), 503, &builder,
                "reconciling makes no progress\n");
        health_says(health_ready(&status, &builder), 503, &builder,
                "starting: the kernel does not hold the wanted policy yet\n");
        status_set_state(&status, STATE_DEGRADED, NOW, "no memory");
        health_says(health_ready(&status, &builder), 503, &builder, "degraded: no memory\n");
        health_says(health_live(&status, false, &builder), 503, &builder,
                "reconciling makes no progress: no memory\n");
        status_set_state(&status, STATE_OBSERVING, NOW, "%s", "");
        status.observe_only = true;
        health_says(health_ready(&status, &builder), 503, &builder,
                "observe mode: the wanted policy is not applied\n");
        STATUS_PRINT(status.preview.text, "1 destination would be blocked");
        health_says(health_ready(&status, &builder), 503, &builder,
                "observe mode: the wanted policy is not applied: 1 destination would be blocked\n");
        status = sample();
        health_says(health_ready(&status, &builder), 200, &builder,
                "ok, but WireGuard peers: 42 missing (worker-2)\n");
        status.peers = (struct status_peers){};
        health_says(health_ready(&status, &builder), 200, &builder, "ok\n");
        status_set_state(&status, STATE_DEGRADED, NOW, "rp_filter is 1");
        STATUS_PRINT(status.fight, "%s", "ip[77]");
        health_says(health_ready(&status, &builder), 200, &builder,
                "ok, but degraded: rp_filter is 1, but in a fight with ip[77]\n");
        status = sample();
        status.peers = (struct status_peers){};
        /* The kernel read back counts, not what the state is called. */
        status.in_sync = false;
        health_says(health_ready(&status, &builder), 503, &builder,
                "enforcing: the kernel does not hold the wanted policy yet\n");
}

/* The service manager's end of NOTIFY_SOCKET, and the loop. */
struct manager {
        char path[64];
        int fd;
        sd_event *event;
        struct notify *notify;
        bool progress;
};

static bool progress_of(void *userdata)
{
        return ((struct manager *)userdata)->progress;
}

static void manager_begin(struct manager *manager, const char *watchdog_usec)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        *manager = (struct manager){.progress = true};
        snprintf(manager->path, sizeof(manager->path), "/tmp/test_status.%d", (int)getpid());
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", manager->path);
        unlink(manager->path);
        manager->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        CHECK(manager->fd >= 0);
        CHECK(bind(manager->fd, (struct sockaddr *)&address, sizeof(address)) == 0);
        CHECK(setenv("NOTIFY_SOCKET", manager->path, 1) == 0);
        unsetenv("WATCHDOG_PID");
        if (watchdog_usec)
                CHECK(setenv("WATCHDOG_USEC", watchdog_usec, 1) == 0);
        else
                unsetenv("WATCHDOG_USEC");
        CHECK(sd_event_new(&manager->event) >= 0);
        CHECK(notify_new(manager->event, progress_of, manager, &manager->notify) >= 0);
}

static void manager_end(struct manager *manager)
{
        notify_free(manager->notify);
        sd_event_unref(manager->event);
        close(manager->fd);
        unlink(manager->path);
        unsetenv("NOTIFY_SOCKET");
        unsetenv("WATCHDOG_USEC");
}

/* The next message, or "" when there is none. */
static const char *received(struct manager *manager)
{
        static char text[512];
        ssize_t n = recv(manager->fd, text, sizeof(text) - 1, 0);

        text[n > 0 ? n : 0] = '\0';
        return text;
}

static void notifications(void)
{
        struct manager manager;
        const char *text;
        char wanted[64];
        struct timespec now;

        manager_begin(&manager, NULL);
        CHECK_INT(notify_ready(manager.notify), 1);
        CHECK_TEXT(received(&manager), "READY=1");
        CHECK_INT(notify_ready(manager.notify), 0);
        CHECK_TEXT(received(&manager), "");
        CHECK_INT(notify_status(manager.notify, "a"), 1);
        CHECK_TEXT(received(&manager), "STATUS=a");
        CHECK_INT(notify_status(manager.notify, "a"), 0);
        CHECK_TEXT(received(&manager), "");
        CHECK_INT(notify_status(manager.notify, "b"), 1);
        CHECK_TEXT(received(&manager), "STATUS=b");
        clock_gettime(CLOCK_MONOTONIC, &now);
        CHECK_INT(notify_reloading(manager.notify), 1);
        text = received(&manager);
        snprintf(wanted, sizeof(wanted), "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)now.tv_sec);
        CHECK(strncmp(text, "RELOADING=1\nMONOTONIC_USEC=", 27) == 0);
        CHECK(strtoull(text + 27, NULL, 10) >=
                (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
        CHECK(strtoull(text + 27, NULL, 10) < ((uint64_t)now.tv_sec + 60) * 1000000);
        CHECK_INT(notify_ready(manager.notify), 1);
        CHECK_TEXT(received(&manager), "READY=1");
        CHECK_INT(notify_stopping(manager.notify), 1);
        CHECK_TEXT(received(&manager), "STOPPING=1");
        manager_end(&manager);
}

static void a_service_manager_that_does_not_read_stops_nothing(void)
{
        struct manager manager;
        char status[32], last[512] = "";
        bool ready = false;

        manager_begin(&manager, NULL);
        for (int i = 0; i < 200; i++) {
                snprintf(status, sizeof(status), "status %d", i);
                CHECK(notify_status(manager.notify, status) >= 0);
        }
        CHECK_INT(notify_ready(manager.notify), 0);
        for (int i = 0; i < 100 && !(ready && strstr(last, "status 199")); i++) {
                const char *text;

                while (*(text = received(&manager))) {
                        ready |= strstr(text, "READY=1") != NULL;
                        snprintf(last, sizeof(last), "%s", text);
                }
                CHECK(sd_event_run(manager.event, 1000000) >= 0);
        }
        CHECK(ready);
        CHECK_HAS(last, "STATUS=status 199");
        manager_end(&manager);
}

/* Lets the loop turn for so many ms; how often the watchdog was fed meanwhile. */
static unsigned feeds(struct manager *manager, unsigned ms)
{
        struct timespec begin, now;
        unsigned n = 0;

        clock_gettime(CLOCK_MONOTONIC, &begin);
        do {
                CHECK(sd_event_run(manager->event, 5000) >= 0);
                while (*received(manager))
                        n++;
                clock_gettime(CLOCK_MONOTONIC, &now);
        } while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 <
                 (long)ms);
        return n;
}

static void watchdog(void)
{
        struct manager manager;
        unsigned n;

        manager_begin(&manager, "90000"); /* fed every 30 ms */
        CHECK(sd_event_run(manager.event, 50000) >= 0);
        CHECK_TEXT(received(&manager), "WATCHDOG=1");
        n = feeds(&manager, 300);
        CHECK(n >= 2 && n <= 11);
        manager.progress = false;
        CHECK_INT(feeds(&manager, 150), 0);
        manager.progress = true;
        CHECK(feeds(&manager, 300) >= 2);
        manager_end(&manager);
}

static void without_a_manager(void)
{
        struct notify *notify = NULL;
        sd_event *event = NULL;

        CHECK(sd_event_new(&event) >= 0);
        CHECK_INT(notify_new(event, progress_of, NULL, &notify), 0);
        CHECK_INT(notify_ready(notify), 0);
        CHECK_INT(notify_status(notify, "x"), 0);
        CHECK_INT(notify_reloading(notify), 0);
        CHECK_INT(notify_stopping(notify), 0);
        CHECK_INT(sd_event_run(event, 1000), 0);
        notify_free(notify);
        sd_event_unref(event);
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {
                TEST(lines),
                TEST(age),
                TEST(state_changes),
                TEST(long_texts_are_cut),
                TEST(metrics_values),
                TEST(metrics_labels_are_escaped),
                TEST(metrics_histogram),
                TEST(metrics_while_observing),
                TEST(metrics_format),
                TEST(health),
                TEST(notifications),
                TEST(a_service_manager_that_does_not_read_stops_nothing),
                TEST(watchdog),
                TEST(without_a_manager),
        };

        unsetenv("NOTIFY_SOCKET");
        unsetenv("WATCHDOG_USEC");
        return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
