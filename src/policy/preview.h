/*
 * What the policy would do to the host's flows if it were put in force: which destinations would
 * go another way than they do now.
 */
#pragma once

#include "basics/text.h"
#include "model/cluster.h"
#include "policy/device.h"
#include "policy/fib.h"
#include "policy/layout.h"

/* Of each effect so many destinations are named. */
#define PREVIEW_NAMED 3

enum effect {
        EFFECT_MOVED,    /* into the device */
        EFFECT_BLOCKED,  /* refused */
        EFFECT_RELEASED, /* steered now, and left alone then */
        EFFECT_MAX,
};

struct preview {
        struct {
                size_t n; /* prefixes of destinations */
                struct prefix first[PREVIEW_NAMED];
        } effects[EFFECT_MAX];
};

/*
 * Fills *ret. Both sorted; a table of ours in `actual` counts only where a rule of the family looks
 * it up. What is exempt to such a destination goes its own way, now and then. An address
 * of this host is left out: its local table comes first.
 */
void policy_preview(const struct layout *layout, const struct device *device,
        const struct fib *wanted, const struct fib *actual, struct preview *ret);

/*
 * "5 destinations would move into cilium_wg0 (10.0.0.12 of worker-1, …), 1 would be blocked
 * (10.244.0.0/16)"; appends nothing when nothing would change.
 */
void preview_format(const struct preview *preview, const struct cluster *cluster,
        const char *interface, struct text_builder *builder);
