/*
 * nodecryptorctl audit: the kernel asked about flows to every other node, and its answers held
 * against the policy's. With --live: what is on the wire (live.h).
 */
#include <getopt.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "basics/log.h"
#include "basics/text.h"
#include "ctl/audit_flows.h"
#include "ctl/audit_report.h"
#include "ctl/live.h"
#include "ctl/quick_verdict.h"
#include "ctl/verbs.h"
#include "kernel/fib_read.h"
#include "policy/compute.h"
#include "policy/format.h"

/* A day: what is longer is a mistake. */
#define LIVE_SECONDS_MAX 86400

struct audit {
        struct options options;
        bool as_json;
        uint64_t live_seconds; /* 0: not asked for */
        struct survey survey;
        struct quick_verdict *quick;
        struct layout layout;
        struct fib rules[FAMILY_MAX]; /* all of the kernel's */
        struct fib ours;              /* our band and tables */
        const struct node *peer;      /* of the flows at hand */
        struct audit_report report;
};

static const struct option long_options[] = {
        {"json", no_argument, NULL, 'j'},
        {"live", required_argument, NULL, 'l'},
        {"config", required_argument, NULL, 'c'},
        {"state-directory", required_argument, NULL, 's'},
        {"node-name", required_argument, NULL, 'n'},
        {},
};

static int parse_arguments(struct audit *audit, int argc, char **argv)
{
        int option, r = 0;

        optind = 1;
        while (r >= 0 && (option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
                switch (option) {
                case 'j': audit->as_json = true; break;
                case 'l':
                        r = text_to_uint(optarg, LIVE_SECONDS_MAX, &audit->live_seconds);
                        if (r < 0 || audit->live_seconds == 0) {
                                log_error("--live %s: not a number of seconds", optarg);
                                return -EINVAL;
                        }
                        break;
                case 'c': r = text_replace(&audit->options.config, optarg); break;
                case 's': r = text_replace(&audit->options.state_directory, optarg); break;
                case 'n': r = text_replace(&audit->options.node_name, optarg); break;
                default: return -EINVAL;
                }
        if (r >= 0 && optind != argc) {
                log_error("audit takes no argument");
                r = -EINVAL;
        }
        return r;
}

static int read_rules(struct audit *audit, struct error *error)
{
        int r = 0;

        audit->layout = policy_layout(audit->survey.settings);
        for (int i = 0; r >= 0 && i < FAMILY_MAX; i++)
                r = kernel_rules_read(
                        audit->survey.nl, (uint8_t)family_from_index(i), &audit->rules[i], error);
        if (r >= 0)
                r = kernel_fib_read(audit->survey.nl, &audit->layout, 1, &audit->ours, error);
        return r;
}

static bool is_there(const struct audit *audit, const struct rule *wanted)
{
        for (size_t i = 0; i < audit->ours.n_rules; i++)
                if (rule_compare(&audit->ours.rules[i], wanted) == 0)
                        return true;
        return false;
}

/* A flow says where it went wrong; a rule that is not there, why. */
static int find_missing(struct audit *audit)
{
        struct policy_input input = survey_input(&audit->survey);
        struct audit_report *report = &audit->report;
        struct fib wanted = {};
        int r;

        input.actual = &audit->ours;
        r = policy_compute(&input, &wanted);
        for (size_t i = 0; r >= 0 && i < wanted.n_rules; i++) {
                if (is_there(audit, &wanted.rules[i]))
                        continue;
                report->n_missing++;
                text_append(&report->missing, "  %s ",
                        wanted.rules[i].family == AF_INET6 ? "IPv6" : "IPv4");
                rule_format(&wanted.rules[i], &report->missing);
                text_append(&report->missing, "\n");
        }
        fib_deinit(&wanted);
        return r;
}

/* In fresh memory, NULL: not found. Rules before it that cannot be read are said. */
static char *name_rule(
        const struct audit *audit, const struct flow *flow, const struct route_answer *answer)
{
        const struct fib *rules = &audit->rules[family_index(flow->destination.family)];
        struct rule_walk walk = rule_walk(rules, &audit->ours, &audit->layout, flow, answer);
        struct text_builder text = {};
        char *name = NULL;

        if (walk.deciding)
                rule_format(walk.deciding, &text);
        for (size_t i = 0; i < rules->n_rules; i++) {
                const struct rule *rule = &rules->rules[i];

                if (rule == walk.deciding ||
                        rule->priority > layout_priority(&audit->layout, LAYOUT_END))
                        break;
                if (rule->foreign)
                        text_append(&text, "%s%u",
                                text.text ? ", or that at priority " : "at priority ",
                                rule->priority);
        }
        return text.text && text_take(&text, &name) >= 0 ? name : NULL;
}

static int take_fault(struct audit *audit, struct audit_offender *offender)
{
        int r;

        offender->peer = audit->peer;
        if (offender->answer.oif != 0)
                (void)if_indextoname(offender->answer.oif, offender->answer.interface);
        offender->rule = name_rule(audit, &offender->flow, &offender->answer);
        r = audit_report_add(&audit->report, offender);
        free(offender->rule);
        return r;
}

static int ask(const char *kind, const struct flow *flow, void *userdata)
{
        struct audit *audit = userdata;
        const struct survey *s = &audit->survey;
        uint32_t iif = flow->forwarded ? s->pod_links[family_index(flow->destination.family)] : 0;
        struct audit_offender offender = {.kind = kind, .flow = *flow};
        struct error error = {};
        int r = quick_verdict_ask(audit->quick, flow, &offender.verdict);

        if (r < 0)
                return r;
        audit->report.flows++;
        audit->report.not_ours += offender.verdict.reason == VERDICT_UNTOUCHED;
        audit->report.bypassed += offender.verdict.way == WAY_MAIN &&
                                  (offender.verdict.reason == VERDICT_PODS ||
                                          offender.verdict.reason == VERDICT_NODES);
        r = route_query_unnamed(s->nl, flow, iif, &offender.answer, &error);
        /* The reverse-path check does not let it in. */
        if (r == -EXDEV) {
                offender.answer = (struct route_answer){.result = r};
        } else if (r < 0) {
                if (audit->report.unasked++ == 0)
                        snprintf(audit->report.unasked_text, sizeof(audit->report.unasked_text),
                                "%s", error.text);
                return r == -ENOMEM ? r : 0;
        }
        return audit_is_good(s, &offender.verdict, &offender.answer, &offender.fault)
                       ? 0
                       : take_fault(audit, &offender);
}

static int ask_all(struct audit *audit)
{
        const struct survey *s = &audit->survey;
        const struct policy_input input = survey_input(s);
        struct audit_source source = {.endpoint_port = s->snapshot.endpoint.port};
        int r = 0;

        audit->quick = quick_verdict_new(&input);
        if (!audit->quick)
                return -ENOMEM;
        for (int i = 0; i < FAMILY_MAX; i++) {
                if (!policy_source(&input, family_from_index(i), &source.host[i]))
                        source.host[i] = (struct address){};
                source.pod[i] = s->pods[i];
        }
        for (size_t i = 0; r >= 0 && i < s->cluster->n_nodes; i++) {
                audit->peer = s->cluster->nodes[i];
                if (audit->peer != quick_verdict_self(audit->quick))
                        r = audit_flows_tell(&source, s->settings, audit->peer, ask, audit);
        }
        return r;
}

static int exit_status(const struct audit_report *report)
{
        if (report->faults[AUDIT_LEAK] > 0)
                return EXIT_FAILURE;
        return report->unasked > 0 ? EXIT_AWAY : EXIT_SUCCESS;
}

static int audit_kernel(struct audit *audit)
{
        struct error error = {};
        int r = read_rules(audit, &error);

        if (r < 0) {
                log_error("%s", error.text);
                return EXIT_AWAY;
        }
        r = find_missing(audit);
        if (r >= 0)
                r = ask_all(audit);
        if (r >= 0)
                r = audit->as_json ? audit_report_print_json(&audit->report, &audit->survey)
                                   : audit_report_print(&audit->report, &audit->survey);
        if (r < 0) {
                log_error("%s", strerror(-r));
                return EXIT_AWAY;
        }
        return exit_status(&audit->report);
}

static int run(struct audit *audit, int argc, char **argv)
{
        struct error error = {};
        int r;

        if (parse_arguments(audit, argc, argv) < 0)
                return EXIT_USAGE;
        r = survey_read(&audit->options, &audit->survey, &error);
        if (r < 0) {
                log_error("%s", error.text);
                return r == -EINVAL ? EXIT_USAGE : EXIT_AWAY;
        }
        if (audit->live_seconds > 0)
                return live_run(&audit->survey, audit->live_seconds, audit->as_json);
        return audit_kernel(audit);
}

int verb_audit(int argc, char **argv)
{
        struct audit audit = {};
        int status;

        options_init(&audit.options);
        status = run(&audit, argc, argv);
        audit_report_deinit(&audit.report);
        for (int i = 0; i < FAMILY_MAX; i++)
                fib_deinit(&audit.rules[i]);
        fib_deinit(&audit.ours);
        quick_verdict_free(audit.quick);
        survey_deinit(&audit.survey);
        options_deinit(&audit.options);
        return status;
}
