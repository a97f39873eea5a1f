#include "ctl/audit_report.h"

#include <inttypes.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "basics/array.h"
#include "ctl/output.h"
#include "store/json.h"

/* So many rows fit a screen. */
#define ROWS_MAX 20

static const char *const fault_names[AUDIT_FAULT_MAX] = {"leak", "shut", "refused"};

bool audit_is_good(const struct survey *survey, const struct verdict *verdict,
        const struct route_answer *answer, enum audit_fault *ret)
{
        enum verdict_way way = survey_way(survey, answer);

        if (way == verdict->way || (answer->result == 0 && answer->type == RTN_LOCAL))
                return true;
        /* What is left to the host's routing may be refused by it. */
        if (verdict->way == WAY_MAIN && way == WAY_BLOCKED)
                return true;
        *ret = way == WAY_MAIN ? AUDIT_LEAK : verdict->way == WAY_MAIN ? AUDIT_SHUT : AUDIT_REFUSED;
        return false;
}

static bool same_place(const struct audit_offender *a, const struct audit_offender *b)
{
        return a->fault == b->fault && a->peer == b->peer && a->kind == b->kind &&
               address_equal(&a->flow.destination, &b->flow.destination) &&
               text_equal(a->rule, b->rule);
}

int audit_report_add(struct audit_report *report, const struct audit_offender *offender)
{
        struct audit_offender *kept;

        report->faults[offender->fault]++;
        /* Those of one destination follow each other. */
        for (size_t i = report->n_offenders; i-- > 0;) {
                kept = &report->offenders[i];
                if (kept->peer != offender->peer)
                        break;
                if (same_place(kept, offender)) {
                        kept->flows++;
                        return 0;
                }
        }
        if (report->n_offenders >= AUDIT_OFFENDERS_MAX) {
                report->left_out++;
                return 0;
        }
        if (!ARRAY_RESERVE(report->offenders, report->allocated, report->n_offenders + 1))
                return -ENOMEM;
        kept = &report->offenders[report->n_offenders];
        *kept = *offender;
        kept->flows = 1;
        kept->rule = NULL;
        report->n_offenders++;
        return text_replace(&kept->rule, offender->rule);
}

void audit_report_deinit(struct audit_report *report)
{
        for (size_t i = 0; i < report->n_offenders; i++)
                free(report->offenders[i].rule);
        free(report->offenders);
        text_deinit(&report->missing);
        *report = (struct audit_report){};
}

static void append_end(
        struct text_builder *text, const struct address *address, uint16_t port, const char *none)
{
        char buffer[ADDRESS_TEXT_MAX];

        if (address->family == 0) {
                text_append(text, "%s", none);
                if (port)
                        text_append(text, ":%u", port);
                return;
        }
        address_format(address, buffer);
        if (port)
                text_append(text, address->family == AF_INET6 ? "[%s]:%u" : "%s:%u", buffer, port);
        else
                text_append(text, "%s", buffer);
}

static void append_flow(struct text_builder *text, const struct flow *flow)
{
        text_append(text, "%s ", protocol_name(flow->ip_protocol));
        append_end(text, &flow->source, flow->source_port, "*");
        text_append(text, " → ");
        append_end(text, &flow->destination, flow->destination_port, "*");
}

static void append_answer(
        struct text_builder *text, const struct survey *survey, const struct audit_offender *o)
{
        static const char *const ways[] = {
                [WAY_MAIN] = "PLAIN",
                [WAY_DEVICE] = "ENCRYPTED",
                [WAY_BLOCKED] = "BLOCKED",
        };
        char gateway[ADDRESS_TEXT_MAX];

        text_append(text, "%s", ways[survey_way(survey, &o->answer)]);
        if (o->answer.result < 0) {
                text_append(text, " (%s)", strerror(-o->answer.result));
        } else {
                text_append(text, ", out of %s", o->answer.interface);
                if (o->answer.gateway.family != 0)
                        text_append(text, " via %s", address_format(&o->answer.gateway, gateway));
                text_append(text, ", table %u", o->answer.table);
        }
        if (o->rule)
                text_append(text, "; rule %s", o->rule);
}

static void add_cell(struct table *table, enum colour colour, struct text_builder *text)
{
        table_add(table, colour, "%s", text->text ? text->text : "");
        table->failed |= text->failed;
        text_deinit(text);
}

static int print_offenders(const struct audit_report *report, const struct survey *survey)
{
        static const struct table_column columns[] = {{.heading = "NODE", .wraps = true},
                {.heading = "FLOWS", .right = true}, {.heading = "FOR EXAMPLE", .wraps = true},
                {.heading = "KERNEL", .wraps = true}, {.heading = "SHOULD BE", .wraps = true}};
        struct table table = {.columns = columns, .n_columns = ARRAY_SIZE(columns)};
        int r;

        for (size_t i = 0; i < report->n_offenders && i < ROWS_MAX; i++) {
                const struct audit_offender *o = &report->offenders[i];
                struct text_builder flow = {}, answer = {};

                table_add(&table, COLOUR_NONE, "%s", o->peer->name);
                table_add(&table, COLOUR_NONE, "%" PRIu64, o->flows);
                text_append(&flow, "%s: ", o->kind);
                append_flow(&flow, &o->flow);
                add_cell(&table, COLOUR_NONE, &flow);
                append_answer(&answer, survey, o);
                add_cell(&table, o->fault == AUDIT_LEAK ? COLOUR_BAD : COLOUR_WARNING, &answer);
                table_add(&table, COLOUR_NONE, "%s", verdict_word(&o->verdict));
        }
        r = output_table(&table);
        table_deinit(&table);
        return r;
}

static void print_summary(const struct audit_report *report, const struct survey *survey)
{
        size_t n = survey->cluster->n_nodes;

        printf("Asked the kernel about %" PRIu64
               " flows to and through %zu nodes, as %s has them.\n",
                report->flows, n, survey->from_daemon ? "the daemon" : "the snapshot");
        for (int i = 0; i < FAMILY_MAX; i++)
                if (survey->pods[i].family == 0)
                        printf("Not asked for IPv%d: flows of our own pods (no route to one).\n",
                                i == FAMILY_INET6 ? 6 : 4);
        if (report->unasked > 0)
                printf("%" PRIu64 " flows could not be asked about: %s\n", report->unasked,
                        report->unasked_text);
        if (report->n_missing > 0)
                printf("Missing rules of ours:\n%s", report->missing.text);
        if (report->n_offenders > ROWS_MAX || report->left_out > 0)
                printf("… and more; --json has up to %d rows.\n", AUDIT_OFFENDERS_MAX);
        if (report->not_ours > 0)
                printf("%" PRIu64 " flows are left alone by the policy (exclude).\n",
                        report->not_ours);
        if (report->bypassed > 0)
                printf("BYPASS: %" PRIu64 " flows leave in clear while the device is away, as "
                       "on_tunnel_down has it.\n",
                        report->bypassed);
        if (report->faults[AUDIT_SHUT] > 0)
                printf("SHUT: %" PRIu64 " flows that are exempt do not leave in clear.\n",
                        report->faults[AUDIT_SHUT]);
        if (report->faults[AUDIT_REFUSED] > 0)
                printf("REFUSED: %" PRIu64 " flows are not refused or encrypted as they should.\n",
                        report->faults[AUDIT_REFUSED]);
        if (report->faults[AUDIT_LEAK] > 0)
                printf("LEAK: %" PRIu64 " flows would leave in clear.\n",
                        report->faults[AUDIT_LEAK]);
        else if (report->unasked == 0)
                printf("CLEAN: nothing would leave in clear that must not.\n");
}

int audit_report_print(const struct audit_report *report, const struct survey *survey)
{
        int r = report->n_offenders > 0 ? print_offenders(report, survey) : 0;

        if (report->missing.failed)
                return -ENOMEM;
        if (r >= 0)
                print_summary(report, survey);
        return r < 0 ? r : fflush(stdout) != 0 ? -EIO : 0;
}

static void add_text(json_object *object, const char *name, struct text_builder *text)
{
        json_object_object_add(object, name, json_object_new_string(text->text ? text->text : ""));
        text_deinit(text);
}

static json_object *offender_json(const struct audit_offender *o, const struct survey *survey)
{
        json_object *object = json_object_new_object();
        struct text_builder flow = {}, answer = {};

        if (!object)
                return NULL;
        append_flow(&flow, &o->flow);
        append_answer(&answer, survey, o);
        json_object_object_add(object, "Fault", json_object_new_string(fault_names[o->fault]));
        json_object_object_add(object, "Node", json_object_new_string(o->peer->name));
        json_object_object_add(object, "Kind", json_object_new_string(o->kind));
        json_object_object_add(object, "Flows", json_object_new_uint64(o->flows));
        add_text(object, "Example", &flow);
        add_text(object, "Kernel", &answer);
        json_object_object_add(object, "Interface", json_object_new_string(o->answer.interface));
        json_object_object_add(object, "Table", json_object_new_int64(o->answer.table));
        json_object_object_add(object, "Rule", json_object_new_string(o->rule ? o->rule : ""));
        json_object_object_add(
                object, "ShouldBe", json_object_new_string(verdict_word(&o->verdict)));
        return object;
}

static const char *result_of(const struct audit_report *report)
{
        return report->faults[AUDIT_LEAK] > 0 ? "leaks" : report->unasked > 0 ? "unknown" : "clean";
}

int audit_report_print_json(const struct audit_report *report, const struct survey *survey)
{
        _cleanup_(json_putp) json_object *all = json_object_new_object();
        json_object *offenders = json_object_new_array();

        if (!all || !offenders) {
                json_object_put(offenders);
                return -ENOMEM;
        }
        json_object_object_add(all, "Result", json_object_new_string(result_of(report)));
        json_object_object_add(all, "Knowledge",
                json_object_new_string(survey->from_daemon ? "daemon" : "snapshot"));
        json_object_object_add(all, "Nodes", json_object_new_uint64(survey->cluster->n_nodes));
        json_object_object_add(all, "Flows", json_object_new_uint64(report->flows));
        json_object_object_add(all, "Unasked", json_object_new_uint64(report->unasked));
        json_object_object_add(all, "Leaks", json_object_new_uint64(report->faults[AUDIT_LEAK]));
        json_object_object_add(all, "Shut", json_object_new_uint64(report->faults[AUDIT_SHUT]));
        json_object_object_add(
                all, "Refused", json_object_new_uint64(report->faults[AUDIT_REFUSED]));
        json_object_object_add(all, "Bypassed", json_object_new_uint64(report->bypassed));
        json_object_object_add(all, "NotOurs", json_object_new_uint64(report->not_ours));
        json_object_object_add(all, "MissingRules", json_object_new_uint64(report->n_missing));
        for (size_t i = 0; i < report->n_offenders; i++)
                json_object_array_add(offenders, offender_json(&report->offenders[i], survey));
        json_object_object_add(all, "Offenders", offenders);
        json_object_object_add(all, "FlowsLeftOut", json_object_new_uint64(report->left_out));
        return output_json(all);
}
