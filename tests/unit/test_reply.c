/*
 * The other direction of a flow, as the peer's policy has it.
 */
#include <netinet/in.h>

#include "policy/reply.h"
#include "policy_host.h"
#include "test.h"

/* What the peer does with the reply to TCP from our address, "none" where there is no peer. */
static const char *back(const char *source, const char *destination, uint16_t port, bool forwarded)
{
        const struct policy_input in = input();
        struct flow flow = {
                .source = address_of(source),
                .destination = address_of(destination),
                .ip_protocol = IPPROTO_TCP,
                .destination_port = port,
                .forwarded = forwarded,
        };
        struct policy_reply reply;

        if (!policy_reply(&in, &flow, &reply))
                return "none";
        CHECK(address_equal(&reply.flow.source, &flow.destination));
        CHECK(address_equal(&reply.flow.destination, &flow.source));
        CHECK_INT(reply.flow.source_port, port);
        return verdict_word(&reply.verdict);
}

static void replies(void)
{
        begin();
        CHECK_TEXT(back("10.0.0.21", "10.0.0.22", 80, false), "ENCRYPTED");
        CHECK_TEXT(back("fd00::21", "fd00::22", 80, false), "ENCRYPTED");
        CHECK_TEXT(back("10.0.0.21", "10.244.2.7", 80, false), "ENCRYPTED");
        /* The server's side of an exemption, whatever our port is. */
        CHECK_TEXT(back("10.0.0.21", "10.0.0.11", 6443, false), "PLAIN (exempt)");
        CHECK_TEXT(back("10.0.0.21", "10.0.0.22", 6443, false), "ENCRYPTED");
        /* To one of our pods it is steered before the exemption is asked for. */
        CHECK_TEXT(back("10.244.1.5", "10.0.0.11", 6443, true), "ENCRYPTED");
        /* A pod of a control plane is no server of the exemption. */
        CHECK_TEXT(back("10.0.0.21", "10.244.3.9", 6443, false), "ENCRYPTED");
        CHECK_TEXT(back("10.0.0.21", "192.0.2.1", 80, false), "none");
        CHECK_TEXT(back("10.0.0.21", "10.244.1.9", 80, false), "none");
        /* An address of ours that no node lists: its peer drops it, and does not steer to it. */
        CHECK_TEXT(back("10.0.0.99", "10.0.0.22", 80, false), "NOT OURS");
        /* The peer's device is its own affair. */
        host.device.usable = false;
        CHECK_TEXT(back("10.0.0.21", "10.0.0.22", 80, false), "ENCRYPTED");
        end();
}

static void owners(void)
{
        struct address address = address_of("10.244.2.7");

        begin();
        put_node("w1", "10.0.0.21", NULL, "10.244.0.0/16", NULL);
        put_node("w2", "10.0.0.22", NULL, "10.244.2.0/24", NULL);
        CHECK_TEXT(policy_owner(host.cluster, &address)->name, "w2");
        address = address_of("10.244.9.7");
        CHECK_TEXT(policy_owner(host.cluster, &address)->name, "w1");
        put_node("w3", "10.244.2.7", NULL, NULL, NULL);
        address = address_of("10.244.2.7");
        CHECK_TEXT(policy_owner(host.cluster, &address)->name, "w3");
        address = address_of("192.0.2.1");
        CHECK(!policy_owner(host.cluster, &address));
        end();
}

TEST_MAIN(TEST(replies), TEST(owners))
