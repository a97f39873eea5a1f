#include "kernel/fib_apply.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "basics/text.h"
#include "kernel/fib_read.h"
#include "kernel/netlink.h"
#include "kernel/route_codec.h"
#include "kernel/rule_codec.h"
#include "kernel/rule_exact.h"
#include "policy/format.h"

/* One phase: the steps of it that are sent, and those to be looked into afterwards. */
struct phase {
        struct netlink *nl;
        const struct step **steps; /* to send, in order */
        size_t n;
        size_t n_exist; /* of the steps, moved to the front: those that met EEXIST */
        struct apply_result *result;
};

static const char *step_verb(enum step_kind kind)
{
        switch (kind) {
        case STEP_ADD_RULE: return "add rule";
        case STEP_DELETE_RULE: return "delete rule";
        case STEP_REPLACE_ROUTE: return "set route";
        case STEP_DELETE_ROUTE: return "delete route";
        }
        return "do";
}

static bool is_rule_step(const struct step *step)
{
        return step->kind == STEP_ADD_RULE || step->kind == STEP_DELETE_RULE;
}

static void describe(const struct step *step, struct text_builder *builder)
{
        char name[IF_NAMESIZE] = "";

        if (is_rule_step(step)) {
                rule_format(&step->rule, builder);
                return;
        }
        if (step->route.oif)
                (void)if_indextoname(step->route.oif, name);
        route_format(&step->route, name[0] ? name : NULL, builder);
}

static void step_failed(
        struct apply_result *result, const struct step *step, int code, const char *text)
{
        _cleanup_(text_deinit) struct text_builder builder = {};

        result->failed++;
        result->vital_failed |= step->vital;
        if (result->first.code < 0)
                return;
        describe(step, &builder);
        error_set(&result->first, code, "cannot %s \"%s\": %s", step_verb(step->kind),
                builder.text ? builder.text : "", text);
}

static struct nlmsghdr *step_build(const struct step *step, void *buffer)
{
        struct nlmsghdr *message = NULL;

        switch (step->kind) {
        case STEP_ADD_RULE:
                message = rule_encode(buffer, RTM_NEWRULE, &step->rule);
                message->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
                break;
        case STEP_DELETE_RULE: break; /* not in a batch: delete_rules() */
        case STEP_REPLACE_ROUTE:
                message = route_encode(buffer, RTM_NEWROUTE, &step->route);
                message->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
                break;
        case STEP_DELETE_ROUTE: message = route_encode(buffer, RTM_DELROUTE, &step->route); break;
        }
        return message;
}

static struct nlmsghdr *build(void *buffer, size_t index, void *userdata)
{
        const struct phase *phase = userdata;

        return step_build(phase->steps[index], buffer);
}

/* What a delete wants is that it is not there. */
static bool is_gone_already(const struct step *step, int code)
{
        return step->kind == STEP_DELETE_ROUTE && (code == -ENOENT || code == -ESRCH);
}

static void message_failed(size_t index, int code, const char *text, void *userdata)
{
        struct phase *phase = userdata;
        const struct step *step = phase->steps[index];
        struct error error;

        if (is_gone_already(step, code))
                return;
        if (step->kind == STEP_ADD_RULE && code == -EEXIST) {
                phase->steps[phase->n_exist++] = step; /* failures come in order: index ≥ n_exist */
                return;
        }
        netlink_error_set(&error, code, text);
        step_failed(phase->result, step, code, error.text);
}

/* Both families' rules, in the kernel's order. */
static int read_all_rules(struct netlink *nl, struct fib *ret, struct error *error)
{
        int r;

        r = kernel_rules_read(nl, AF_INET, ret, error);
        if (r >= 0)
                r = kernel_rules_read(nl, AF_INET6, ret, error);
        return r;
}

/* EEXIST is the truth only when the very rule is there; rule_exact.h. */
static void settle_existing(struct phase *phase)
{
        _cleanup_(fib_deinit) struct fib actual = {};
        struct error error = {};
        int r;

        if (phase->n_exist == 0)
                return;
        r = read_all_rules(phase->nl, &actual, &error);
        for (size_t i = 0; i < phase->n_exist; i++) {
                const struct step *step = phase->steps[i];
                int code = r;

                if (code >= 0)
                        code = rule_add_beside(phase->nl, &actual, &step->rule, &error);
                if (code < 0)
                        step_failed(phase->result, step, code, error.text);
        }
}

/* Rules are few and their deletes rare: one by one, after a look at what they would hit. */
static void delete_rules(struct phase *phase, const struct step *steps, size_t n)
{
        _cleanup_(fib_deinit) struct fib actual = {};
        struct error error = {};
        bool is_read = false;
        int r = 0;

        for (size_t i = 0; i < n; i++) {
                int code;

                if (steps[i].kind != STEP_DELETE_RULE)
                        continue;
                if (!is_read)
                        r = read_all_rules(phase->nl, &actual, &error);
                is_read = true;
                code = r;
                if (code >= 0)
                        code = rule_delete_exact(phase->nl, &actual, &steps[i].rule, &error);
                if (code < 0)
                        step_failed(phase->result, &steps[i], code, error.text);
        }
}

static void apply_phase(struct phase *phase, const struct step *steps, size_t n)
{
        size_t failed = phase->result->failed;
        struct netlink_batch batch;

        phase->n = phase->n_exist = 0;
        for (size_t i = 0; i < n; i++)
                if (steps[i].kind != STEP_DELETE_RULE)
                        phase->steps[phase->n++] = &steps[i];
        batch = (struct netlink_batch){
                .n = phase->n,
                .build = build,
                .failed = message_failed,
                .userdata = phase,
        };
        (void)netlink_batch(phase->nl, &batch); /* every failure came by message_failed() */
        settle_existing(phase);
        delete_rules(phase, steps, n);
        phase->result->written += n - (phase->result->failed - failed);
}

int kernel_fib_apply(struct netlink *nl, const struct steps *steps, struct apply_result *ret)
{
        struct phase phase = {.nl = nl, .result = ret};
        size_t begin = 0, end;

        *ret = (struct apply_result){};
        if (steps->n == 0)
                return 0;
        phase.steps = calloc(steps->n, sizeof(*phase.steps));
        if (!phase.steps) {
                ret->skipped = steps->n;
                return error_set(&ret->first, -ENOMEM, "out of memory");
        }
        for (; begin < steps->n && !ret->vital_failed; begin = end) {
                for (end = begin + 1; end < steps->n; end++)
                        if (steps->items[end].phase != steps->items[begin].phase)
                                break;
                apply_phase(&phase, steps->items + begin, end - begin);
        }
        ret->skipped = steps->n - begin;
        free(phase.steps);
        return ret->first.code;
}
