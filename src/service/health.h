/*
 * What the health paths say, as the kubelet and others probe them: 200 or 503, one line of text.
 */
#pragma once

#include "service/status.h"

/* Each returns the HTTP status and appends the line. */

/* /healthz: the daemon works. 503 when reconciling makes no progress: a restart may help. */
unsigned health_live(
        const struct status *status, bool making_progress, struct text_builder *builder);

/*
 * /readyz: 200 only while what is wanted is what the kernel, read back, holds (status.in_sync);
 * 503 with the reason otherwise. In observe mode, where nothing is applied, that is seldom so.
 * Peers that do not carry what is steered are named and change nothing: a restart would not help.
 */
unsigned health_ready(const struct status *status, struct text_builder *builder);
