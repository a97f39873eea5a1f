/*
 * What the policy would do to a host's flows: held against kernels that hold nothing of it, all of
 * it, part of it, and of another one.
 */
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "policy/preview.h"
#include "policy_host.h"
#include "test.h"

static char *preview_of(const struct fib *wanted, const struct fib *actual)
{
        const struct layout layout = policy_layout(host.settings);
        struct text_builder builder = {};
        struct preview preview;
        char *text = NULL;

        policy_preview(&layout, &host.device, wanted, actual, &preview);
        preview_format(&preview, host.cluster, "cilium_wg0", &builder);
        CHECK_INT(text_take(&builder, &text), 0);
        return text;
}

static void compute(struct fib *ret)
{
        const struct policy_input in = input();

        CHECK_INT(policy_compute(&in, ret), 0);
}

static void says(const struct fib *wanted, const struct fib *actual, const char *text)
{
        _cleanup_free_ char *seen = preview_of(wanted, actual);

        CHECK_TEXT(seen, text);
}

static void small_host(void)
{
        begin();
        cluster_free(host.cluster);
        host.cluster = cluster_new();
        CHECK(host.cluster);
        put_node("w1", "10.0.0.21", NULL, "10.244.1.0/24", NULL);
        put_node("w2", "10.0.0.22", NULL, "10.244.2.0/24", NULL);
}

static void on_a_host_without(void)
{
        struct fib wanted = {}, nothing = {};

        small_host();
        compute(&wanted);
        says(&wanted, &nothing,
                "2 destinations would move into cilium_wg0 (10.244.2.0/24 of w2, 10.0.0.22/32 of "
                "w2)");
        fib_deinit(&wanted);
        host.device.usable = false;
        compute(&wanted);
        says(&wanted, &nothing,
                "2 destinations would be blocked (10.244.2.0/24 of w2, 10.0.0.22/32 of w2)");
        fib_deinit(&wanted);
        end();
}

static void on_one_that_holds_it(void)
{
        struct fib wanted = {}, actual = {};
        _cleanup_free_ char *text = NULL;

        begin();
        compute(&wanted);
        compute(&actual);
        says(&wanted, &actual, "");
        /* The tables stand, but nothing looks them up. */
        actual.n_rules = 0;
        text = preview_of(&wanted, &actual);
        CHECK_HAS(text, "would move into cilium_wg0 (");
        CHECK_HAS(text, ", …)");
        fib_deinit(&wanted);
        fib_deinit(&actual);
        end();
}

static void on_one_that_is_behind(void)
{
        struct fib wanted = {}, actual = {};

        small_host();
        host.device.usable = false;
        compute(&actual);
        host.device.usable = true;
        compute(&wanted);
        says(&wanted, &actual,
                "2 destinations would move into cilium_wg0 (10.244.2.0/24 of w2, 10.0.0.22/32 of "
                "w2)");
        fib_deinit(&actual);
        compute(&actual);
        fib_deinit(&wanted);
        cluster_remove(host.cluster, "w2");
        put_node("w3", "10.0.0.23", NULL, NULL, NULL);
        compute(&wanted);
        says(&wanted, &actual,
                "1 destination would move into cilium_wg0 (10.0.0.23/32 of w3), 2 would be left "
                "alone (10.244.2.0/24, 10.0.0.22/32)");
        fib_deinit(&wanted);
        fib_deinit(&actual);
        end();
}

TEST_MAIN(TEST(on_a_host_without), TEST(on_one_that_holds_it), TEST(on_one_that_is_behind))
