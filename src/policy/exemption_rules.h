/*
 * The rules of the exemptions: of what the operator exempts, and of the kubeconfig's API endpoint.
 */
#pragma once

#include "policy/segments.h"

/* Appends those of one family; complement_choose() has been here. −ENOMEM. */
int exemption_rules_add(const struct policy_input *input, const struct segments *segments,
        int family, struct fib *fib);
