/*
 * The text of a configuration file, read and looked over before libconfig parses it.
 */
#pragma once

#include "basics/error.h"

#define CONFIG_FILE_MAX (256 * 1024) /* bytes */

/*
 * Reads the file into fresh memory. Refused, each with a text that names file and line:
 * - @include directives (−EINVAL): one file is the whole configuration, so that what a reload
 *   takes in, and what an error names, is what the operator sees;
 * - an integer that libconfig would silently wrap to 32 bits (−ERANGE);
 * - a string without an end, or a NUL byte (−EINVAL).
 * A file that is absent, unreadable, no regular file or larger than CONFIG_FILE_MAX: what
 * file_read() returns (−ENOENT, −EACCES, −EINVAL, −EFBIG), the text naming the file.
 */
int config_source_read(const char *path, char **ret, struct error *error);

/* The line with that number (from 1), blanks around it cut off, shortened, in fresh memory. */
char *config_source_line(const char *text, int number);
