/*
 * What can be seen of the policy without the daemon: what the kernel holds, and the snapshot.
 */
#pragma once

#include <stdbool.h>

#include "config/options.h"

/*
 * Prints it as far as it can be read: the configuration says where our rules and routes lie; those
 * of earlier configurations are found through the state directory. What cannot be read is logged.
 */
void kernel_view_print(const struct options *options, bool as_json);
