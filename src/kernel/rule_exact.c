#include "kernel/rule_exact.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "kernel/netlink.h"
#include "kernel/rule_codec.h"

static int request_rule(struct netlink *nl, uint16_t type, uint16_t flags, const struct rule *rule,
        struct error *error)
{
        char buffer[NETLINK_MESSAGE_MAX] __attribute__((aligned(4)));
        struct nlmsghdr *message = rule_encode(buffer, type, rule);

        message->nlmsg_flags = flags;
        return netlink_request(nl, message, NULL, NULL, error);
}

int rule_add_beside(
        struct netlink *nl, const struct fib *actual, const struct rule *rule, struct error *error)
{
        bool is_explained = false;

        for (size_t i = 0; i < actual->n_rules; i++) {
                if (rule_compare(&actual->rules[i], rule) == 0)
                        return 0;
                is_explained |=
                        !actual->rules[i].foreign && rule_delete_matches(rule, &actual->rules[i]);
        }
        if (!is_explained)
                return error_set(error, -EEXIST,
                        "a rule that is not understood is in its place (%s)", strerror(EEXIST));
        return request_rule(nl, RTM_NEWRULE, NLM_F_CREATE, rule, error);
}

/* The rule that the kernel would take; NULL: none. */
static struct rule *find_hit(struct fib *actual, const struct rule *rule)
{
        for (size_t i = 0; i < actual->n_rules; i++)
                if (rule_delete_matches(rule, &actual->rules[i]))
                        return &actual->rules[i];
        return NULL;
}

static void forget(struct fib *actual, struct rule *rule)
{
        size_t rest = actual->n_rules - (size_t)(rule - actual->rules) - 1;

        memmove(rule, rule + 1, rest * sizeof(*rule));
        actual->n_rules--;
}

/* Already gone is what a delete wants. */
static int request_delete(struct netlink *nl, const struct rule *rule, struct error *error)
{
        struct error failure = {};
        int r;

        r = request_rule(nl, RTM_DELRULE, 0, rule, &failure);
        if (r < 0 && r != -ENOENT && r != -ESRCH)
                return error_set(error, r, "%s", failure.text);
        return 0;
}

/*
 * Moves the rule behind all of its priority. It is the first that `find_hit` found for a wider
 * delete, so it is also the first that its own delete finds.
 */
static int move_back(struct netlink *nl, struct fib *actual, struct rule *hit, struct error *error)
{
        struct rule rule = *hit;
        int r;

        r = request_rule(nl, RTM_NEWRULE, NLM_F_CREATE, &rule, error);
        if (r < 0)
                return r;
        r = request_delete(nl, &rule, error);
        if (r < 0)
                return r;
        /* Only the order within a priority counts here, so the end of the list will do. */
        forget(actual, hit);
        return fib_add_rule(actual, &rule);
}

int rule_delete_exact(
        struct netlink *nl, struct fib *actual, const struct rule *rule, struct error *error)
{
        bool is_there = false;
        struct rule *hit;
        int r;

        for (size_t i = 0; i < actual->n_rules; i++)
                is_there |= rule_compare(&actual->rules[i], rule) == 0;
        if (!is_there)
                return 0;
        while ((hit = find_hit(actual, rule)) && rule_compare(hit, rule) != 0) {
                if (hit->foreign)
                        return error_set(error, -ENOTUNIQ,
                                "a foreign rule of that priority would be deleted in its place");
                r = move_back(nl, actual, hit, error);
                if (r < 0)
                        return r;
        }
        if (!hit)
                return 0;
        r = request_delete(nl, rule, error);
        if (r >= 0)
                forget(actual, hit);
        return r;
}
