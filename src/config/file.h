/*
 * The configuration file, in libconfig's syntax: nodecryptor.conf(5).
 *
 * A file that cannot be used changes nothing; the error names FILE:LINE and KEY (as
 * "exemptions[1].ports" inside a list). Refused are: unknown and duplicate keys, wrong types, every
 * value that config/value.h refuses, a `protect` prefix that lies inside an `exclude` one, an
 * exemption without name, nodes or ports or with the name of another one, lists longer than below,
 * and @include (config/source.h says why).
 */
#pragma once

#include "basics/error.h"
#include "model/settings.h"

#define CONFIG_PREFIXES_MAX   1024 /* in `protect`, in `exclude` */
#define CONFIG_EXEMPTIONS_MAX 64

/*
 * Reads the file over what *settings holds (settings_new() for the defaults); `protect`, `exclude`
 * and `exemptions` replace the whole list. On failure *settings is unusable and to be freed.
 * −ENOENT: the file is absent. −EACCES and the like: it cannot be read. Otherwise −EINVAL, −ERANGE
 * or −ENOMEM.
 */
int config_file_read(const char *path, struct settings *settings, struct error *error);

/* The names of the keys: of the file, and of an exemption; NULL behind the last. */
const char *config_file_key(size_t index);
const char *config_file_exemption_key(size_t index);
