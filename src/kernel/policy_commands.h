/*
 * The whole policy as ip(8) commands, links of our own included, in the order in which the daemon
 * would write it: what makes the same in a network namespace that has none of it.
 */
#pragma once

#include "basics/text.h"
#include "policy/input.h"

/* Appends them, one a line. −ENOMEM. */
int policy_commands(const struct policy_input *input, struct text_builder *builder);
