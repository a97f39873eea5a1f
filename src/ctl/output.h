/*
 * What a verb prints: JSON for programs, tables for people.
 */
#pragma once

#include <json-c/json.h>

#include "ctl/table.h"

/*
 * Prints the value as one indented document. What it is made of is documented in nodecryptorctl(1)
 * and org.nodecryptor1(5). −ENOMEM; −EIO: standard output does not take it.
 */
int output_json(json_object *value);
/*
 * Prints the table, TABLE_WIDTH wide; in colours when standard output is a terminal that has them
 * and NO_COLOR (https://no-color.org) is not set. Errors as above.
 */
int output_table(const struct table *table);
