/*
 * The configuration in libconfig's syntax, as --check-config prints it.
 */
#pragma once

#include "basics/text.h"
#include "model/settings.h"

/*
 * Appends every key of nodecryptor.conf(5); config_file_read() of the text over settings_new()
 * gives the same settings again. The state directory, which is no key of the file, is a comment.
 */
void config_print(const struct settings *settings, struct text_builder *builder);
