/*
 * A host for tests of the policy. Three nodes: we are w1, a worker; cp1 is a control plane; w2
 * another worker.
 */
#pragma once

#include "policy/compute.h"
#include "policy/verdict.h"

struct policy_host {
        struct settings *settings;
        struct cluster *cluster;
        struct address local[4];
        struct device device;
        struct endpoint endpoint;
        const char *name;
};

extern struct policy_host host;

/* Sets all of it up afresh. */
void begin(void);
/* Frees it. */
void end(void);
/* What the policy is computed from. */
struct policy_input input(void);

struct address address_of(const char *text);
struct prefix prefix_of(const char *text);
/* Adds or replaces a node; each of the rest may be NULL. */
struct node *put_node(
        const char *name, const char *v4, const char *v6, const char *pods4, const char *pods6);

/* "ENCRYPTED", … by the verdict; that the rules and routes say the same is checked beside it. */
const char *ask(const struct flow *flow);
/* The same of TCP to the port. */
const char *tcp(const char *destination, uint16_t port);
/* And of what is sent from the port; `source` may be NULL. */
const char *reply(const char *source, const char *destination, uint16_t port, uint8_t protocol);
