#include "ctl/live_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/human.h"
#include "ctl/output.h"
#include "model/exemption.h"
#include "store/json.h"

/* Offenders and nodes that a table shows, and offenders that JSON has. */
#define ROWS_MAX 30
#define JSON_MAX 1000

static uint64_t total(const struct live_counts *counts, size_t node, size_t class)
{
        return live_counted(counts, node, LIVE_OUT, class) +
               live_counted(counts, node, LIVE_IN, class);
}

const char *live_report_result(const struct live_report *report)
{
        if (total(&report->counts, SIZE_MAX, LIVE_PLAIN) > 0)
                return "plain";
        return report->lost_other > 0 ? "unknown" : "clean";
}

static void append_end(struct text_builder *text, const struct address *address, uint16_t port)
{
        char buffer[ADDRESS_TEXT_MAX];

        address_format(address, buffer);
        if (port)
                text_append(text, address->family == AF_INET6 ? "[%s]:%u" : "%s:%u", buffer, port);
        else
                text_append(text, "%s", buffer);
}

static void append_flow(struct text_builder *text, const struct live_packet *packet)
{
        const char *name = protocol_name(packet->ip_protocol);

        if (strcmp(name, "?") == 0)
                text_append(text, "protocol %u ", packet->ip_protocol);
        else
                text_append(text, "%s ", name);
        append_end(text, &packet->source, packet->source_port);
        text_append(text, " → ");
        append_end(text, &packet->destination, packet->destination_port);
}

/* "etcd 12, kube-apiserver 3" */
static void append_exempt(struct text_builder *text, const struct live_counts *counts, size_t node,
        enum live_direction direction)
{
        for (size_t class = LIVE_ENDPOINT; class < counts->n_classes; class ++) {
                uint64_t n = live_counted(counts, node, direction, class);

                if (n > 0)
                        text_append(text, "%s%s %" PRIu64, text->text ? ", " : "",
                                live_class_name(counts, class), n);
        }
        if (!text->text)
                text_append(text, "0");
}

static bool has_packets(const struct live_counts *counts, size_t node)
{
        for (size_t class = 0; class < counts->n_classes; class ++)
                if (total(counts, node, class) > 0)
                        return true;
        return false;
}

static void add_row(struct table *table, const struct live_counts *counts, size_t node,
        const char *name, enum live_direction direction)
{
        uint64_t plain = live_counted(counts, node, direction, LIVE_PLAIN);
        struct text_builder exempt = {};

        append_exempt(&exempt, counts, node, direction);
        table_add(table, COLOUR_NONE, "%s", direction == LIVE_OUT ? name : "");
        table_add(table, COLOUR_NONE, "%s", direction == LIVE_OUT ? "to" : "from");
        table_add(table, COLOUR_NONE, "%" PRIu64,
                live_counted(counts, node, direction, LIVE_WIREGUARD));
        table_add(table, COLOUR_NONE, "%s", exempt.text ? exempt.text : "");
        table_add(table, COLOUR_NONE, "%" PRIu64,
                live_counted(counts, node, direction, LIVE_NOT_OURS));
        table_add(table, COLOUR_NONE, "%" PRIu64,
                live_counted(counts, node, direction, LIVE_FRAGMENT));
        table_add(table, plain > 0 ? COLOUR_BAD : COLOUR_GOOD, "%" PRIu64, plain);
        table->failed |= exempt.failed;
        text_deinit(&exempt);
}

static int print_nodes(const struct live_counts *counts)
{
        static const struct table_column columns[] = {{.heading = "NODE", .wraps = true},
                {.heading = ""}, {.heading = "WIREGUARD", .right = true},
                {.heading = "EXEMPT", .wraps = true}, {.heading = "NOT OURS", .right = true},
                {.heading = "FRAGMENTS", .right = true}, {.heading = "PLAIN", .right = true}};
        const struct cluster *cluster = counts->input->cluster;
        struct table table = {.columns = columns, .n_columns = ARRAY_SIZE(columns)};
        size_t rows = 0;
        int r;

        for (int plain = 1; plain >= 0; plain--)
                for (size_t i = 0; i < cluster->n_nodes && rows < ROWS_MAX; i++) {
                        if (!has_packets(counts, i) || (total(counts, i, LIVE_PLAIN) > 0) != plain)
                                continue;
                        add_row(&table, counts, i, cluster->nodes[i]->name, LIVE_OUT);
                        add_row(&table, counts, i, "", LIVE_IN);
                        rows++;
                }
        add_row(&table, counts, SIZE_MAX, "all", LIVE_OUT);
        add_row(&table, counts, SIZE_MAX, "", LIVE_IN);
        r = output_table(&table);
        table_deinit(&table);
        return r;
}

static int print_offenders(const struct live_counts *counts)
{
        static const struct table_column columns[] = {{.heading = "IN CLEAR", .wraps = true},
                {.heading = "NODE", .wraps = true}, {.heading = "PACKETS", .right = true},
                {.heading = "BYTES", .right = true}, {.heading = "FIRST SEEN"}};
        struct table table = {.columns = columns, .n_columns = ARRAY_SIZE(columns)};
        char text[HUMAN_TEXT_MAX];
        int r;

        for (size_t i = 0; i < counts->n_offenders && i < ROWS_MAX; i++) {
                const struct live_offender *offender = &counts->offenders[i];
                struct text_builder flow = {};

                append_flow(&flow, &offender->packet);
                table_add(&table, COLOUR_BAD, "%s", flow.text ? flow.text : "");
                table.failed |= flow.failed;
                text_deinit(&flow);
                table_add(&table, COLOUR_NONE, "%s %s",
                        offender->direction == LIVE_OUT ? "to" : "from", offender->peer->name);
                table_add(&table, COLOUR_NONE, "%" PRIu64, offender->packets);
                table_add(&table, COLOUR_NONE, "%s", human_bytes(offender->bytes, text));
                table_add(&table, COLOUR_NONE, "%s", human_time(offender->first_seen, text));
        }
        r = output_table(&table);
        table_deinit(&table);
        return r;
}

int live_report_print(struct live_report *report)
{
        struct live_counts *counts = &report->counts;
        int r;

        live_counts_sort(counts);
        printf("Looked at %s for %" PRIu64 " s; packets to and from the other nodes and their "
               "pods:\n",
                report->links, report->seconds);
        r = print_nodes(counts);
        if (r >= 0 && counts->n_offenders > 0)
                r = print_offenders(counts);
        if (r < 0)
                return r;
        if (counts->n_offenders > ROWS_MAX || counts->left_out > 0)
                printf("… and more; --json has up to %d flows.\n", JSON_MAX);
        printf("Of no node or pod: %" PRIu64 " packets; ARP, neighbour discovery, link-local and "
               "multicast: %" PRIu64 ".\n",
                counts->elsewhere, counts->control);
        if (report->lost_wireguard + report->lost_other > 0)
                printf("Not looked at for want of room: %" PRIu64 " packets of WireGuard, %" PRIu64
                       " others.\n",
                        report->lost_wireguard, report->lost_other);
        if (total(counts, SIZE_MAX, LIVE_PLAIN) > 0)
                printf("PLAIN: %" PRIu64 " packets were in clear that must not be.\n",
                        total(counts, SIZE_MAX, LIVE_PLAIN));
        else if (report->lost_other == 0)
                printf("CLEAN: nothing was in clear that must not be.\n");
        return fflush(stdout) != 0 ? -EIO : 0;
}

static json_object *counts_json(
        const struct live_counts *counts, size_t node, enum live_direction direction)
{
        json_object *object = json_object_new_object(), *exempt = json_object_new_object();

        json_object_object_add(object, "WireGuard",
                json_object_new_uint64(live_counted(counts, node, direction, LIVE_WIREGUARD)));
        for (size_t class = LIVE_ENDPOINT; class < counts->n_classes; class ++) {
                uint64_t n = live_counted(counts, node, direction, class);

                if (n > 0)
                        json_object_object_add(
                                exempt, live_class_name(counts, class), json_object_new_uint64(n));
        }
        json_object_object_add(object, "Exempt", exempt);
        json_object_object_add(object, "NotOurs",
                json_object_new_uint64(live_counted(counts, node, direction, LIVE_NOT_OURS)));
        json_object_object_add(object, "Fragments",
                json_object_new_uint64(live_counted(counts, node, direction, LIVE_FRAGMENT)));
        json_object_object_add(object, "Plain",
                json_object_new_uint64(live_counted(counts, node, direction, LIVE_PLAIN)));
        return object;
}

static json_object *node_json(const struct live_counts *counts, size_t node, const char *name)
{
        json_object *object = json_object_new_object();

        if (name)
                json_object_object_add(object, "Name", json_object_new_string(name));
        json_object_object_add(object, "To", counts_json(counts, node, LIVE_OUT));
        json_object_object_add(object, "From", counts_json(counts, node, LIVE_IN));
        return object;
}

static json_object *offender_json(const struct live_offender *offender)
{
        const struct live_packet *packet = &offender->packet;
        json_object *object = json_object_new_object();
        char text[ADDRESS_TEXT_MAX];

        json_object_object_add(object, "Node", json_object_new_string(offender->peer->name));
        json_object_object_add(object, "Direction",
                json_object_new_string(offender->direction == LIVE_OUT ? "to" : "from"));
        json_object_object_add(object, "Protocol", json_object_new_int(packet->ip_protocol));
        json_object_object_add(
                object, "Source", json_object_new_string(address_format(&packet->source, text)));
        json_object_object_add(object, "SourcePort", json_object_new_int(packet->source_port));
        json_object_object_add(object, "Destination",
                json_object_new_string(address_format(&packet->destination, text)));
        json_object_object_add(
                object, "DestinationPort", json_object_new_int(packet->destination_port));
        json_object_object_add(object, "Packets", json_object_new_uint64(offender->packets));
        json_object_object_add(object, "Bytes", json_object_new_uint64(offender->bytes));
        json_object_object_add(object, "FirstSeen", json_object_new_uint64(offender->first_seen));
        return object;
}

int live_report_print_json(struct live_report *report)
{
        _cleanup_(json_putp) json_object *all = json_object_new_object();
        json_object *nodes = json_object_new_array(), *offenders = json_object_new_array();
        struct live_counts *counts = &report->counts;
        const struct cluster *cluster = counts->input->cluster;

        live_counts_sort(counts);
        json_object_object_add(all, "Result", json_object_new_string(live_report_result(report)));
        json_object_object_add(all, "Seconds", json_object_new_uint64(report->seconds));
        json_object_object_add(all, "Links", json_object_new_string(report->links));
        json_object_object_add(all, "Total", node_json(counts, SIZE_MAX, NULL));
        for (size_t i = 0; i < cluster->n_nodes; i++)
                if (has_packets(counts, i))
                        json_object_array_add(nodes, node_json(counts, i, cluster->nodes[i]->name));
        json_object_object_add(all, "Nodes", nodes);
        for (size_t i = 0; i < counts->n_offenders && i < JSON_MAX; i++)
                json_object_array_add(offenders, offender_json(&counts->offenders[i]));
        json_object_object_add(all, "Offenders", offenders);
        json_object_object_add(all, "OffendersSeen", json_object_new_uint64(counts->n_offenders));
        json_object_object_add(
                all, "OffenderPacketsLeftOut", json_object_new_uint64(counts->left_out));
        json_object_object_add(all, "Control", json_object_new_uint64(counts->control));
        json_object_object_add(all, "Elsewhere", json_object_new_uint64(counts->elsewhere));
        json_object_object_add(all, "Unreadable", json_object_new_uint64(counts->unreadable));
        json_object_object_add(
                all, "LostWireGuard", json_object_new_uint64(report->lost_wireguard));
        json_object_object_add(all, "LostOthers", json_object_new_uint64(report->lost_other));
        return output_json(all);
}
