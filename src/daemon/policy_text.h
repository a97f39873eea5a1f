/*
 * The wanted policy as text.
 */
#pragma once

#include "daemon/reconciler.h"

/*
 * Appends what a whole run would bring about now, with the device as the last one saw it, as ip(8)
 * commands (kernel/policy_commands.h). Writes nothing. Negative errno with words.
 */
int policy_text(const struct reconciler *reconciler, const struct reconcile_input *input,
        struct text_builder *builder, struct error *error);
