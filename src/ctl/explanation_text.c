/*
 * The explanation for people: one line for each thing that is known.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl/explanation.h"
#include "ctl/human.h"
#include "ctl/status_json.h"

static json_object *part(json_object *object, const char *name)
{
        json_object *value;

        return json_object_object_get_ex(object, name, &value) ? value : NULL;
}

static bool is(json_object *object, const char *name, const char *text)
{
        return strcmp(status_text(object, name), text) == 0;
}

/* " WORD TEXT", when there is a text. */
static void print_word(const char *word, json_object *object, const char *name)
{
        const char *text = status_text(object, name);

        if (*text)
                printf(" %s%s%s", word, *word ? " " : "", text);
}

static void print_end(json_object *flow, const char *word, const char *address, const char *port)
{
        print_word(word, flow, address);
        if (status_number(flow, port) != 0)
                printf(" port %" PRIu64, status_number(flow, port));
}

static void print_flow(json_object *flow)
{
        printf("flow:    %s %s", status_is(flow, "Forwarded") ? "forwarded" : "from this host",
                status_text(flow, "Protocol"));
        print_end(flow, "", "Source", "SourcePort");
        print_end(flow, "to", "Destination", "DestinationPort");
        if (status_number(flow, "Mark") != 0)
                printf(" mark %#" PRIx64, status_number(flow, "Mark"));
        printf("\n");
}

static void print_way(json_object *answer, const char *out)
{
        if (is(answer, "Way", "blocked")) {
                printf("BLOCKED (%s)", status_text(answer, "Error"));
        } else if (is(answer, "Way", "local")) {
                printf("LOCAL, delivered there");
        } else {
                printf("%s", out);
                print_word("", answer, "Interface");
                print_word("via", answer, "Gateway");
                print_word("from", answer, "Source");
        }
}

static void print_namespace(json_object *inside)
{
        if (!inside)
                return;
        printf("inside:  ");
        print_way(inside, "out of");
        printf("\n");
}

static void print_kernel(json_object *kernel)
{
        bool dropped = is(kernel, "Way", "blocked") && *status_text(kernel, "Interface");

        printf("kernel:  ");
        if (dropped)
                printf("BLOCKED, %s", status_text(kernel, "Error"));
        else if (is(kernel, "Way", "local"))
                printf("LOCAL, delivered on this host");
        else
                print_way(kernel,
                        is(kernel, "Way", "encrypted") ? "ENCRYPTED, out of" : "PLAIN, out of");
        if (status_number(kernel, "Table") != 0)
                printf(" (table %" PRIu64 ")", status_number(kernel, "Table"));
        printf("\n");
        if (*status_text(kernel, "Past"))
                printf("  past:  %s\n", status_text(kernel, "Past"));
        if (*status_text(kernel, "Rule"))
                printf("  rule:  %s\n", status_text(kernel, "Rule"));
}

static void print_mtu(json_object *explanation)
{
        uint64_t mtu = status_number(explanation, "MTU"),
                 inside = status_number(part(explanation, "Namespace"), "MTU");

        if (mtu == 0)
                return;
        printf("mtu:     %" PRIu64 " bytes", mtu);
        if (inside > mtu)
                printf("; %" PRIu64 " inside the namespace: larger packets meet it on the way",
                        inside);
        printf("\n");
}

static void print_peer(json_object *peer)
{
        const char *carriage = status_text(peer, "Carriage");
        char age[HUMAN_TEXT_MAX];

        if (!peer)
                return;
        printf("peer:    %s", status_text(peer, "Name"));
        if (*status_text(peer, "Unknown")) {
                printf(": not known (%s)\n", status_text(peer, "Unknown"));
                return;
        }
        if (strcmp(carriage, "unknown") == 0) {
                printf(": not known (only a WireGuard device of the kernel can be asked)\n");
                return;
        }
        printf(", %s", carriage);
        if (strcmp(carriage, "carried") != 0)
                printf(" (what is sent to it is not received: see nodecryptorctl peers)");
        print_word("key", peer, "Key");
        if (status_number(peer, "LastHandshake") != 0)
                printf(", last handshake %s",
                        human_age(status_number(peer, "LastHandshake"), (uint64_t)time(NULL), age));
        printf("\n");
}

static void print_reply(json_object *reply)
{
        json_object *flow = part(reply, "Flow");

        if (!reply)
                return;
        printf("reply:   %s, by the policy of %s", status_text(reply, "Verdict"),
                status_text(reply, "Peer"));
        printf(status_is(flow, "Forwarded") ? ", which forwards it" : ", which sends it");
        print_end(flow, "from", "Source", "SourcePort");
        print_end(flow, "to", "Destination", "DestinationPort");
        printf("\n  why:   %s\n", status_text(reply, "Text"));
}

int explanation_print(json_object *explanation, bool observing)
{
        json_object *policy = part(explanation, "Policy");

        print_flow(part(explanation, "Flow"));
        print_namespace(part(explanation, "Namespace"));
        if (policy) {
                print_kernel(part(explanation, "Kernel"));
                printf("policy:  %s\n  why:   %s\n", status_text(policy, "Verdict"),
                        status_text(policy, "Text"));
        }
        print_mtu(explanation);
        print_peer(part(explanation, "Peer"));
        print_reply(part(explanation, "Reply"));
        if (!explanation_agrees(explanation))
                printf("DISAGREE: the kernel does not do what the policy says%s\n",
                        observing ? " (mode = \"observe\": nothing is enforced)" : "");
        return fflush(stdout) != 0 || ferror(stdout) ? -EIO : 0;
}
