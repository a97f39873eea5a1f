/*
 * Small clusters with settings, in the namespace of a test (fixture.h), and the flows by which a
 * change from one to another is judged: what the kernel may answer for each of them meanwhile.
 */
#pragma once

#include "fixture.h"
#include "model/cluster.h"
#include "model/endpoint.h"
#include "model/settings.h"
#include "policy/verdict.h"

/* Our own node: 10.0.0.1, fd00::1, pods 10.244.1.0/24 and fd00:244:1::/64. */
#define SELF "n1"

struct world {
        struct settings *settings;
        struct cluster *cluster;
        struct endpoint endpoint;
        bool device_up;
};

/*
 * The host: "eth0" with a default route, "lxc0" with our pods, DEVICE, all of them tun devices, and
 * forwarding. To be called after fixture_enter().
 */
void world_host(void);
/* Default settings, the device up, and SELF as the only node. */
void world_init(struct world *world);
/* The same without any node: nothing is steered. */
void world_init_empty(struct world *world);
void world_deinit(struct world *world);
/* Puts a node with 10.0.x.y, fd00::NUMBER and pods 10.244.NUMBER.0/24, fd00:244:NUMBER::/64. */
void world_put(struct world *world, const char *name, unsigned number, bool control_plane);
void world_remove(struct world *world, const char *name);
void world_add_prefix(struct prefix **list, size_t *n, const char *text);
/* Replaces the exemptions by this one, of control-plane nodes. */
void world_exempt_only(struct world *world, uint8_t protocol, uint16_t first, uint16_t last);

/* What the kernel says of a flow. */
enum answer { ANSWER_CLEAR, ANSWER_DEVICE, ANSWER_BLOCKED };

struct probe {
        struct flow flow;
        bool never_clear;  /* steered before and after */
        bool always_clear; /* exempt or not ours, before and after */
};

struct probes {
        struct probe *items;
        size_t n;
        size_t allocated;
        struct netlink *nl; /* to ask with */
        uint32_t device, lxc;
};

/*
 * Those of the flows to the nodes of either world (at most `nodes` of each, evenly chosen), to our
 * own pods, to the rest of the world and to what `protect` and `exclude` name, that have one
 * verdict or none that differs in what matters before and after. Opens a socket of its own.
 */
void probes_init(
        struct probes *probes, const struct world *before, const struct world *after, size_t nodes);
void probes_deinit(struct probes *probes);
/*
 * Asks the kernel for each, and returns for how many the answer is wrong; with `when` the first are
 * shown on standard output.
 */
size_t probes_ask(const struct probes *probes, const char *when, unsigned number);
