#include "ctl/explanation.h"

#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <string.h>

#include "basics/log.h"
#include "ctl/peer_answer.h"
#include "ctl/rule_walk.h"
#include "ctl/status_json.h"
#include "kernel/fib_read.h"
#include "kernel/sink_link.h"
#include "policy/format.h"
#include "policy/reply.h"
#include "store/json.h"

/* An object under construction; out of memory is remembered. */
struct object {
        json_object *json;
        bool failed;
};

static void add(struct object *object, const char *name, json_object *value)
{
        if (!object->json || !value || json_object_object_add(object->json, name, value) < 0) {
                json_object_put(value);
                object->failed = true;
        }
}

static void add_text(struct object *object, const char *name, const char *text)
{
        if (text && *text)
                add(object, name, json_object_new_string(text));
}

static void add_number(struct object *object, const char *name, uint64_t number)
{
        if (number != 0)
                add(object, name, json_object_new_uint64(number));
}

static void add_bool(struct object *object, const char *name, bool value)
{
        add(object, name, json_object_new_boolean(value));
}

static void add_address(struct object *object, const char *name, const struct address *address)
{
        char text[ADDRESS_TEXT_MAX];

        if (address->family != 0)
                add_text(object, name, address_format(address, text));
}

static void add_object(struct object *object, const char *name, struct object *part)
{
        object->failed |= part->failed;
        add(object, name, part->json);
}

static struct object object_new(void)
{
        return (struct object){.json = json_object_new_object()};
}

static struct object flow_object(const struct flow *flow)
{
        struct object object = object_new();

        add_text(&object, "Protocol", protocol_name(flow->ip_protocol));
        add_address(&object, "Source", &flow->source);
        add_number(&object, "SourcePort", flow->source_port);
        add_address(&object, "Destination", &flow->destination);
        add_number(&object, "DestinationPort", flow->destination_port);
        add_number(&object, "Mark", flow->mark);
        add_bool(&object, "Forwarded", flow->forwarded);
        return object;
}

static void add_answer(struct object *object, const struct route_answer *answer)
{
        if (answer->result < 0) {
                add_text(object, "Error", strerror(-answer->result));
                return;
        }
        add_text(object, "Interface", answer->interface);
        add_address(object, "Gateway", &answer->gateway);
        add_address(object, "Source", &answer->source);
        add_number(object, "Table", answer->table);
}

static struct object namespace_object(const struct question *q)
{
        struct object object = object_new();

        add_text(&object, "Way",
                q->first.result < 0          ? "blocked"
                : q->first.type == RTN_LOCAL ? "local"
                                             : "out");
        add_answer(&object, &q->first);
        add_number(&object, "MTU", q->first_mtu);
        return object;
}

static bool is_sunk(const struct question *q, const struct route_answer *answer)
{
        return answer->result == 0 && q->sink.ifindex != 0 && answer->oif == q->sink.ifindex;
}

static enum verdict_way kernel_way(const struct question *q, const struct route_answer *answer)
{
        if (answer->result < 0 || is_sunk(q, answer))
                return WAY_BLOCKED;
        return answer->oif == q->link.ifindex && q->link.ifindex != 0 ? WAY_DEVICE : WAY_MAIN;
}

static void add_rule(struct object *object, const char *name, const struct rule *rule)
{
        struct text_builder builder = {};

        if (!rule)
                return;
        rule_format(rule, &builder);
        add_text(object, name, builder.failed ? "?" : builder.text);
        text_deinit(&builder);
}

static void add_rules(
        struct object *object, const struct question *q, const struct route_answer *answer)
{
        const struct layout layout = policy_layout(q->settings);
        struct fib rules = {}, ours = {};

        if (kernel_rules_read(q->nl, q->flow.destination.family, &rules, NULL) >= 0 &&
                kernel_fib_read(q->nl, &layout, 1, &ours, NULL) >= 0) {
                struct rule_walk walk = rule_walk(&rules, &ours, &layout, &q->flow, answer);

                add_rule(object, "Past", walk.leading);
                add_rule(object, "Rule", walk.deciding);
        }
        fib_deinit(&rules);
        fib_deinit(&ours);
}

static struct object kernel_object(const struct question *q, const struct route_answer *answer)
{
        static const char *const words[] = {
                [WAY_MAIN] = "plain", [WAY_DEVICE] = "encrypted", [WAY_BLOCKED] = "blocked"};
        struct object object = object_new();
        bool local = answer->result == 0 && answer->type == RTN_LOCAL;

        add_text(&object, "Way", local ? "local" : words[kernel_way(q, answer)]);
        if (is_sunk(q, answer))
                add_text(&object, "Error", "dropped by " SINK_LINK_NAME);
        add_answer(&object, answer);
        add_rules(&object, q, answer);
        return object;
}

static const char *reason_text(const struct verdict *verdict, const struct endpoint *endpoint,
        bool theirs, struct text_builder *builder)
{
        const char *node = verdict->node ? verdict->node->name : "";
        char prefix[PREFIX_TEXT_MAX];

        prefix_format(&verdict->prefix, prefix);
        switch (verdict->reason) {
        case VERDICT_MARKED: text_append(builder, "it carries the device's own mark"); break;
        case VERDICT_PODS:
                text_append(builder, "%s is a pod prefix of node %s", prefix, node);
                break;
        case VERDICT_EXEMPT:
                if (!verdict->exemption)
                        text_append(builder, "the kubeconfig's API endpoint, port %u%s",
                                endpoint->port, verdict->reply ? ", its reply" : "");
                else if (verdict->reply)
                        text_append(builder,
                                "exemption \"%s\" selects %s node (%s), and this is a reply",
                                verdict->exemption->name, theirs ? "that" : "this", node);
                else
                        text_append(builder, "exemption \"%s\" selects node %s",
                                verdict->exemption->name, node);
                break;
        case VERDICT_NODES: text_append(builder, "it is the address of node %s", node); break;
        case VERDICT_PROTECTED:
                text_append(builder, "%s is protected, and no node is known there", prefix);
                break;
        case VERDICT_UNTOUCHED:
                text_append(builder, "no other node's address or pod prefix");
                break;
        }
        return builder->failed ? "?" : builder->text;
}

static struct object verdict_object(
        const struct question *q, const struct verdict *verdict, bool theirs)
{
        static const char *const reasons[] = {
                [VERDICT_MARKED] = "marked",
                [VERDICT_PODS] = "pods",
                [VERDICT_EXEMPT] = "exempt",
                [VERDICT_NODES] = "nodes",
                [VERDICT_PROTECTED] = "protected",
                [VERDICT_UNTOUCHED] = "untouched",
        };
        struct object object = object_new();
        struct text_builder builder = {};

        add_text(&object, "Verdict", verdict_word(verdict));
        add_text(&object, "Reason", reasons[verdict->reason]);
        add_text(&object, "Text", reason_text(verdict, &q->snapshot.endpoint, theirs, &builder));
        text_deinit(&builder);
        if (verdict->node)
                add_text(&object, "Node", verdict->node->name);
        if (verdict->exemption)
                add_text(&object, "Exemption", verdict->exemption->name);
        return object;
}

static bool agree(
        const struct question *q, const struct verdict *verdict, const struct route_answer *answer)
{
        enum verdict_way way = kernel_way(q, answer);

        if (answer->result == 0 && answer->type == RTN_LOCAL)
                return true;
        /* What is left to the host's routing may be refused by it. */
        return way == verdict->way || (verdict->way == WAY_MAIN && way == WAY_BLOCKED);
}

/* The smallest on the way out of this host. */
static void add_mtu(struct object *object, const struct question *q,
        const struct route_answer *answer, enum verdict_way way)
{
        struct link link = {};
        uint32_t mtu;

        if (way == WAY_BLOCKED || answer->type == RTN_LOCAL ||
                link_read_index(q->nl, answer->oif, &link, NULL) < 0)
                return;
        mtu = link.mtu;
        if (q->first_mtu != 0 && q->first_mtu < mtu)
                mtu = q->first_mtu;
        add_number(object, "MTU", mtu);
}

/* The peer's side, from the source that the kernel takes when none was given. */
static void add_reply(struct object *object, const struct question *q,
        const struct policy_input *input, const struct route_answer *answer)
{
        struct flow flow = q->flow;
        struct policy_reply reply;
        struct object part, theirs;

        if (flow.source.family == 0)
                flow.source = answer->source;
        /* Refused here: what would come back is asked for the address that it should leave from. */
        if (flow.source.family == 0)
                (void)policy_source(input, flow.destination.family, &flow.source);
        if (flow.mark != 0 && flow.mark == input->device->mark)
                return;
        if (!policy_reply(input, &flow, &reply))
                return;
        part = verdict_object(q, &reply.verdict, true);
        theirs = flow_object(&reply.flow);
        add_text(&part, "Peer", reply.peer->name);
        add_object(&part, "Flow", &theirs);
        add_object(object, "Reply", &part);
}

static void add_peer(struct object *object, const struct question *q, const struct verdict *verdict)
{
        const struct node *peer = policy_owner(q->snapshot.cluster, &q->flow.destination);

        if (!peer || (verdict->reason != VERDICT_PODS && verdict->reason != VERDICT_NODES))
                return;
        add(object, "Peer", peer_answer_new(peer->name));
}

static int ask_kernel(struct question *q, struct route_answer *ret)
{
        struct error error = {};
        int r = route_query(q->nl, &q->flow, q->iif, ret, &error);

        if (r < 0)
                log_error("asking the kernel: %s", error.text);
        return r;
}

static void add_all(
        struct object *object, const struct question *q, const struct route_answer *answer)
{
        const struct policy_input input = question_input(q);
        struct verdict verdict = policy_verdict(&input, &q->flow);
        struct object kernel = kernel_object(q, answer),
                      policy = verdict_object(q, &verdict, false);

        add_object(object, "Kernel", &kernel);
        add_object(object, "Policy", &policy);
        add_bool(object, "Agree", agree(q, &verdict, answer));
        if (answer->result == 0 && answer->type == RTN_LOCAL)
                return;
        add_mtu(object, q, answer, kernel_way(q, answer));
        add_peer(object, q, &verdict);
        add_reply(object, q, &input, answer);
}

int explanation_new(struct question *q, json_object **ret)
{
        struct object object = object_new(), part = flow_object(&q->flow);
        struct route_answer answer = {};
        int r = 0;

        add_object(&object, "Flow", &part);
        if (q->inside) {
                part = namespace_object(q);
                add_object(&object, "Namespace", &part);
        }
        if (q->inside && !q->flow.forwarded) {
                add_bool(&object, "Agree", true); /* it does not come to this host's routing */
        } else {
                r = ask_kernel(q, &answer);
                if (r >= 0)
                        add_all(&object, q, &answer);
        }
        if (r >= 0 && object.failed)
                r = -ENOMEM;
        if (r < 0) {
                json_object_put(object.json);
                return r;
        }
        *ret = object.json;
        return 0;
}

bool explanation_agrees(json_object *explanation)
{
        return status_is(explanation, "Agree");
}
