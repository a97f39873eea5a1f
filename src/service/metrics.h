/*
 * The status in the Prometheus text format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 */
#pragma once

#include "service/status.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Appends every metric, each with HELP and TYPE. `now` is unix time. */
void metrics_print(const struct status *status, uint64_t now, struct text_builder *builder);
