/*
 * The configuration in force: defaults, then the file, then the command line, then (for what is
 * still not named) the environment.
 */
#pragma once

#include "basics/error.h"
#include "config/options.h"
#include "model/settings.h"

/*
 * Applies all of them, at start and again at each reload. A file named by --config must exist; the
 * default file may be absent, and the built-in defaults apply then (config_origin() tells).
 *
 * --control-plane-exempt-ports replaces the exemptions that select nodes by the bare key of the
 * control-plane label by one named "control-plane", for TCP. The node's name: --node-name, else the
 * file's, else NODE_NAME, else NULL.
 *
 * On success *ret is the caller's. Otherwise −EINVAL, −ENOENT, −ENOMEM or what the file gave, and
 * the text names FILE:LINE and KEY, or the option and its value; nothing else has changed, so that
 * what was in force may stay. A program that ends for it exits with EXIT_CONFIGURATION.
 */
int config_load(const struct options *options, struct settings **ret, struct error *error);

/* The file that config_load() reads; NULL: there is none, the built-in defaults apply. Borrowed. */
const char *config_origin(const struct options *options);
