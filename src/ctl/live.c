#include "ctl/live.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "basics/array.h"
#include "basics/log.h"
#include "ctl/live_capture.h"
#include "ctl/live_report.h"
#include "ctl/verbs.h"

/* What Cilium's agent lets its device listen on (pkg/wireguard/types: ListenPort). */
#define CILIUM_PORT 51871

struct links {
        uint32_t *indexes;
        size_t n;
        size_t allocated;
        char *names;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
        interrupted = number;
}

static int add_link(struct links *links, const struct route_answer *answer)
{
        struct text_builder names = {};

        for (size_t i = 0; i < links->n; i++)
                if (links->indexes[i] == answer->oif)
                        return 0;
        if (!ARRAY_RESERVE(links->indexes, links->allocated, links->n + 1))
                return -ENOMEM;
        links->indexes[links->n++] = answer->oif;
        text_append(&names, "%s%s%s", links->names ? links->names : "", links->names ? " " : "",
                answer->interface);
        free(links->names);
        links->names = NULL;
        return text_take(&names, &links->names);
}

/* By which links the other nodes are reached in clear: as the device's own packets go. */
static int find_links(const struct survey *survey, struct links *links)
{
        const struct cluster *cluster = survey->cluster;
        int r = 0;

        for (size_t i = 0; i < cluster->n_nodes * FAMILY_MAX && r >= 0; i++) {
                struct flow flow = {
                        .destination = cluster->nodes[i / FAMILY_MAX]->addresses[i % FAMILY_MAX],
                        .mark = survey->device.mark,
                };
                struct route_answer answer;

                if (flow.destination.family == 0 ||
                        device_has_local(&survey->device, &flow.destination) ||
                        route_query(survey->nl, &flow, 0, &answer, NULL) < 0 || answer.result < 0 ||
                        answer.oif == LOOPBACK_IFINDEX || survey_way(survey, &answer) != WAY_MAIN)
                        continue;
                r = add_link(links, &answer);
        }
        return r;
}

static int take_frame(const struct live_frame *frame, void *userdata)
{
        struct live_counts *counts = userdata;

        if (frame->ethertype == ETH_P_ARP) {
                counts->control++;
                return 0;
        }
        return live_count(counts, frame->data, frame->size, frame->outgoing ? LIVE_OUT : LIVE_IN,
                (uint64_t)time(NULL));
}

static uint64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int look(struct live_capture *capture, struct live_counts *counts, uint64_t seconds)
{
        uint64_t now = now_ms(), end = now + seconds * 1000;
        int r = 0;

        while (now < end && !interrupted) {
                r = live_capture_read(
                        capture, (int)(end - now > 1000 ? 1000 : end - now), take_frame, counts);
                if (r < 0 && r != -EINTR)
                        return r;
                now = now_ms();
        }
        /* What came in before the end, and was not read yet. */
        return live_capture_read(capture, 0, take_frame, counts);
}

static int print_report(struct live_report *report, bool as_json)
{
        const char *result = live_report_result(report);
        int r = as_json ? live_report_print_json(report) : live_report_print(report);

        if (r < 0) {
                log_error("%s", strerror(-r));
                return EXIT_AWAY;
        }
        if (strcmp(result, "plain") == 0)
                return EXIT_FAILURE;
        return strcmp(result, "clean") == 0 ? EXIT_SUCCESS : EXIT_AWAY;
}

static int capture(const struct links *links, struct live_report *report, uint64_t seconds,
        struct error *error)
{
        _cleanup_(live_capture_freep) struct live_capture *capture = NULL;
        uint64_t begin;
        int r = live_capture_new(links->indexes, links->n, CILIUM_PORT, &capture, error);

        if (r < 0)
                return r;
        log_info("listening on %s", links->names);
        begin = now_ms();
        r = look(capture, &report->counts, seconds);
        report->seconds = (now_ms() - begin) / 1000;
        live_capture_lost(capture, &report->lost_wireguard, &report->lost_other);
        return r < 0 ? error_set(error, r, "reading packets: %s", strerror(-r)) : 0;
}

static int run(const struct survey *survey, const struct policy_input *input, struct links *links,
        struct live_report *report, uint64_t seconds)
{
        struct error error = {};
        int r = find_links(survey, links);

        if (r >= 0 && links->n == 0) {
                log_error("no link leads to any other node: there is nothing to look at");
                return -ENODEV;
        }
        if (r >= 0)
                r = live_counts_init(&report->counts, input, CILIUM_PORT);
        if (r < 0) {
                log_error("%s", strerror(-r));
                return r;
        }
        report->links = links->names;
        r = capture(links, report, seconds, &error);
        if (r < 0)
                log_error("%s", error.text);
        return r;
}

int live_run(const struct survey *survey, uint64_t seconds, bool as_json)
{
        const struct policy_input input = survey_input(survey);
        const struct sigaction action = {.sa_handler = on_signal};
        struct live_report report = {};
        struct links links = {};
        int status = EXIT_AWAY;

        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        if (run(survey, &input, &links, &report, seconds) >= 0)
                status = print_report(&report, as_json);
        live_counts_deinit(&report.counts);
        free(links.indexes);
        free(links.names);
        return status;
}
