/*
 * nodecryptorctl audit --live: what is on the wire between this node and the others.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ctl/survey.h"

/* Looks for so many seconds, or until SIGINT; prints, and returns the exit status. */
int live_run(const struct survey *survey, uint64_t seconds, bool as_json);
