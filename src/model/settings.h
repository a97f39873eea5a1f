/*
 * What the operator asks for, once configuration file and options are read (config/config.h reads
 * them). A value type: the policy is computed from it.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "model/exemption.h"

enum mode { MODE_ENFORCE, MODE_OBSERVE };
enum tunnel_down { TUNNEL_DOWN_BLOCK, TUNNEL_DOWN_BYPASS };
/* A node list that says what is hard to believe: without any node, or without ourselves. */
enum doubtful_list { DOUBTFUL_LIST_KEEP, DOUBTFUL_LIST_BELIEVE };

/* Where a loopback service listens; port 0: nowhere. The any-address means every address. */
struct listen {
        struct address address; /* family 0 with a port: every address, both families */
        uint16_t port;
};

struct settings {
        char *node_name;  /* NULL: from NODE_NAME or the credential */
        char *kubeconfig; /* NULL: the first of the known distributions */
        char *interface;  /* the WireGuard device's name */
        enum mode mode;
        enum tunnel_down on_tunnel_down;
        enum doubtful_list on_doubtful_list;
        struct prefix *protect; /* sorted, unique */
        size_t n_protect;
        struct prefix *exclude; /* sorted, unique */
        size_t n_exclude;
        struct exemption *exemptions; /* in the operator's order */
        size_t n_exemptions;
        struct prefix noop_route; /* family 0: none */
        uint32_t table_base;      /* first of LAYOUT_TABLES private tables */
        uint32_t priority_base;   /* first of LAYOUT_PRIORITIES rule priorities */
        struct listen health_listen;
        struct listen metrics_listen;
        char *state_directory;
};

#define DEFAULT_INTERFACE       "cilium_wg0"
#define DEFAULT_TABLE_BASE      51870u
#define DEFAULT_PRIORITY_BASE   200u
#define DEFAULT_STATE_DIRECTORY "/var/lib/nodecryptor"

/* Every default of the sample configuration; NULL when out of memory. */
struct settings *settings_new(void);
struct settings *settings_free(struct settings *settings);
DEFINE_CLEANUP(struct settings *, settings_free)

/* Appends a deep copy of the exemption. −ENOMEM. */
int settings_add_exemption(struct settings *settings, const struct exemption *exemption);
/* Drops every exemption. */
void settings_clear_exemptions(struct settings *settings);

/* "127.0.0.1:8083", "[::1]:8083", ":8083" (every address), "" or "0" (nowhere). −EINVAL, −ERANGE.
 */
int listen_parse(const char *text, struct listen *ret);
/* The same form back, appended. */
void listen_format(const struct listen *listen, struct text_builder *builder);
