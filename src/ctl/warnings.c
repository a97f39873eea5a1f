#include "ctl/warnings.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "basics/message_id.h"
#include "ctl/human.h"
#include "ctl/status_json.h"
#include "service/status.h"

struct warnings {
        json_object *list;
        json_object *status;
        uint64_t now;
        bool failed;
};

static void add(struct warnings *w, const char *remedy, const char *format, ...) _printf_(3, 4);
static void add(struct warnings *w, const char *remedy, const char *format, ...)
{
        json_object *entry = json_object_new_object();
        char text[1024];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        if (!entry || json_object_object_add(entry, "Text", json_object_new_string(text)) < 0 ||
                json_object_object_add(entry, "Remedy", json_object_new_string(remedy)) < 0 ||
                json_object_array_add(w->list, entry) < 0) {
                json_object_put(entry);
                w->failed = true;
        }
}

static void look_at_state(struct warnings *w)
{
        const char *state = status_text(w->status, "State");

        if (strcmp(state, "degraded") == 0)
                add(w, "nodecryptor tries again; `journalctl -u nodecryptor` tells the story",
                        "the kernel is not as it should be: %s", status_text(w->status, "Reason"));
        else if (strcmp(state, "observing") == 0)
                add(w,
                        status_is(w->status, "ModeOverridden")
                                ? "nodecryptorctl enforce"
                                : "set mode = \"enforce\" in the configuration, and reload",
                        "nothing is enforced: mode \"observe\"%s",
                        status_is(w->status, "ModeOverridden") ? ", on request" : "");
        else if (strcmp(state, "enforcing") == 0 && status_is(w->status, "ModeOverridden"))
                add(w, "set mode = \"enforce\" in the configuration to keep it so",
                        "it is enforced on request only: after a restart the mode is \"observe\"");
}

static void look_at_device(struct warnings *w)
{
        const char *name = status_text(w->status, "Device");

        if (!status_is(w->status, "DevicePresent"))
                add(w, "is Cilium's agent running, with encryption.type: wireguard?",
                        "the device %s is not there: what is steered is not sent in clear, "
                        "and not sent at all unless on_tunnel_down says so",
                        name);
        else if (!status_is(w->status, "DeviceUp"))
                add(w, "`ip -d link show` says what it is; Cilium's agent makes it and sets it up",
                        "the device %s cannot be used: it is down, has no mark yet, or is no "
                        "WireGuard device",
                        name);
        else if (!status_is(w->status, "DeviceMarkKnown"))
                add(w, "compare with `wg show` and what Cilium says",
                        "the mark of %s cannot be read, %#" PRIx64 " is assumed", name,
                        status_number(w->status, "DeviceMark"));
}

static void look_at_knowledge(struct warnings *w)
{
        uint64_t at = status_number(w->status, "KnowledgeAt");
        char span[HUMAN_TEXT_MAX];

        if (strcmp(status_text(w->status, "Knowledge"), "none") == 0) {
                add(w, "see API above; until then only `protect` is enforced",
                        "no node is known yet");
                return;
        }
        if (at != 0 && w->now > at && w->now - at > STATUS_AGE_MAX)
                add(w, "see API above; the policy stays as it is",
                        "the nodes are as of %s ago: those that came since are not known",
                        human_span(w->now - at, span));
        if (!status_is(w->status, "NodeKnown"))
                add(w, "`kubectl get ciliumnodes`; node_name in the configuration",
                        "this node, %s, is not among the CiliumNodes",
                        *status_text(w->status, "NodeName") ? status_text(w->status, "NodeName")
                                                            : "whose name is not known");
        if (status_number(w->status, "BadObjects") > 0)
                add(w, "journalctl -u nodecryptor MESSAGE_ID=" MESSAGE_BAD_OBJECT,
                        "%" PRIu64 " CiliumNodes could not be used since the start",
                        status_number(w->status, "BadObjects"));
}

static void look_at_peers(struct warnings *w)
{
        const char *problems = status_text(w->status, "PeerProblems");

        if (*problems)
                add(w,
                        "nodecryptorctl peers; is Cilium's agent well, here and there? "
                        "(`cilium-dbg "
                        "encrypt status`)",
                        "what is steered to nodes is refused or not answered: %s", problems);
}

static void look_at_fight(struct warnings *w)
{
        const char *who = status_text(w->status, "Fight");

        if (*who)
                add(w,
                        "stop it, or configure it not to touch rules and routes that are not its "
                        "own",
                        "what is ours is taken away again and again by %s", who);
}

static void look_at_findings(struct warnings *w)
{
        json_object *findings;

        if (!json_object_object_get_ex(w->status, "Findings", &findings) ||
                !json_object_is_type(findings, json_type_array))
                return;
        for (size_t i = 0; i < json_object_array_length(findings); i++)
                add(w, "", "%s", json_object_get_string(json_object_array_get_idx(findings, i)));
}

static void look_at_endpoints(struct warnings *w)
{
        const char *health = status_text(w->status, "HealthError"),
                   *metrics = status_text(w->status, "MetricsError");

        if (*health)
                add(w, "health_listen in the configuration", "no /healthz and /readyz: %s", health);
        if (*metrics)
                add(w, "metrics_listen in the configuration", "no /metrics: %s", metrics);
}

int warnings_find(json_object *status, uint64_t now, json_object **ret)
{
        struct warnings w = {.list = json_object_new_array(), .status = status, .now = now};

        if (!w.list)
                return -ENOMEM;
        look_at_state(&w);
        look_at_device(&w);
        look_at_knowledge(&w);
        look_at_fight(&w);
        look_at_peers(&w);
        look_at_findings(&w);
        look_at_endpoints(&w);
        if (w.failed) {
                json_object_put(w.list);
                return -ENOMEM;
        }
        *ret = w.list;
        return 0;
}
