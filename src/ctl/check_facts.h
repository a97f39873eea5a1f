/*
 * What the preflight knows of the host, and what it makes of that. The judgement (check_judge.c,
 * check_rules.c) is pure: it reads nothing but the facts.
 */
#pragma once

#include <json-c/json.h>

#include "ctl/table.h"
#include "kernel/link.h"
#include "model/settings.h"
#include "policy/fib.h"

/* A yes or no that may not be known. */
enum known { UNKNOWN, NO, YES };

/* As Cilium's agent has it, from what it leaves on the host. */
struct cilium_config {
        bool read;
        char *routing_mode; /* "native", "tunnel"; NULL: not known */
        char *ipam;         /* "cluster-pool", "eni" … */
        enum known wireguard;
        enum known node_encryption;
        enum known legacy_routing; /* bpf.hostLegacyRouting */
};

struct api_facts {
        char *kubeconfig;        /* path; NULL: none was found */
        char *error;             /* why it could not be asked; NULL: it was */
        char *node_name;         /* of the certificate; NULL: it names none */
        int64_t expires;         /* the certificate's end, unix time; 0: none */
        bool has_plugin;         /* the credential comes from a plugin, which is not run */
        bool skips_verification; /* insecure-skip-tls-verify */
        long status;             /* of a list of CiliumNodes; 0: none came */
};

struct check_facts {
        const struct settings *settings; /* borrowed */
        bool cilium_runs;
        bool tunnel_link; /* cilium_vxlan or cilium_geneve is there */
        struct cilium_config cilium;
        struct link device; /* ifindex 0: there is none */
        uint32_t mark;      /* of the device; 0: not known */
        char *strict_links; /* with rp_filter 1; NULL: none */
        bool loose;         /* rp_filter 2 somewhere */
        bool networkd_runs;
        enum known networkd_rules, networkd_routes; /* does it manage foreign ones? */
        bool networkmanager_runs;
        enum known networkmanager_device; /* does it manage the WireGuard device? */
        bool tailscale_runs, calico_runs;
        enum known ipv6_off[3]; /* disable_ipv6 of "all", "lo", the device */
        bool cluster_ipv6;      /* some node has an IPv6 address or prefix; of the snapshot */
        struct fib rules;       /* all, of both families, in the kernel's order */
        struct fib ours;        /* our band and tables */
        struct api_facts api;
        enum known clock_synchronised;
        int64_t now; /* unix time, s */
};

void check_facts_deinit(struct check_facts *facts);

enum severity { SEVERITY_ERROR, SEVERITY_WARNING, SEVERITY_NOTE, SEVERITY_OK };

struct check_findings {
        json_object *list; /* of {"Severity", "Topic", "Text", "Remedy"} */
        size_t errors;
        size_t warnings;
        bool failed; /* out of memory */
};

/* Adds one; `remedy` is a command, a setting, or "". */
void check_say(struct check_findings *findings, enum severity severity, const char *topic,
        const char *remedy, const char *format, ...) _printf_(5, 6);

/* All that is to be said of the facts, the worst first. */
void check_judge(const struct check_facts *facts, struct check_findings *findings);
/* Its part on rules and routes. */
void check_judge_rules(const struct check_facts *facts, struct check_findings *findings);

/* agent-runtime-config.json of Cilium's agent; what it does not have stays unknown. −EBADMSG. */
int cilium_config_parse(const char *text, size_t size, struct cilium_config *ret);
/* One networkd.conf(5) or drop-in, over what stood before. */
void networkd_config_apply(const char *text, struct check_facts *facts);
