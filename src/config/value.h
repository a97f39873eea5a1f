/*
 * One value each, from its text: what file and command line share. Every function checks the text
 * and stores the result; on failure it returns −EINVAL (−ENOMEM), changes nothing and describes the
 * value in *error without naming the key: the caller puts file, line and key or the option in
 * front.
 */
#pragma once

#include "basics/error.h"
#include "model/settings.h"

/* "" means "not named" for node_name and kubeconfig, "none" for noop_route, "nowhere" to listen. */
int value_node_name(const char *text, struct settings *settings, struct error *error);
int value_kubeconfig(const char *text, struct settings *settings, struct error *error);
int value_interface(const char *text, struct settings *settings, struct error *error);
int value_mode(const char *text, struct settings *settings, struct error *error);
int value_on_tunnel_down(const char *text, struct settings *settings, struct error *error);
int value_on_doubtful_list(const char *text, struct settings *settings, struct error *error);
int value_noop_route(const char *text, struct settings *settings, struct error *error);
int value_health_listen(const char *text, struct settings *settings, struct error *error);
int value_metrics_listen(const char *text, struct settings *settings, struct error *error);
int value_state_directory(const char *text, struct settings *settings, struct error *error);

/* Within the bounds of policy/layout.h, the whole range of tables or priorities included. */
int value_table_base(long long number, struct settings *settings, struct error *error);
int value_priority_base(long long number, struct settings *settings, struct error *error);

/*
 * A prefix that may be steered or left alone: no host bits, not /0, and no overlap with what never
 * leaves the host or the link (address_is_special() in basics/prefix.h).
 */
int value_prefix(const char *text, struct prefix *ret, struct error *error);

/* The parts of an exemption. The memory that they replace is freed. */
int value_exemption_name(const char *text, struct exemption *exemption, struct error *error);
int value_exemption_nodes(const char *text, struct exemption *exemption, struct error *error);
int value_exemption_protocol(const char *text, struct exemption *exemption, struct error *error);
int value_exemption_ports(const char *text, struct exemption *exemption, struct error *error);

#define EXEMPTION_PORTS_MAX 64 /* ranges in one exemption */
