/*
 * Texts that many nodes have in common, such as a label's key, kept once each. The reference counts
 * are not atomic: nodes belong to one thread.
 */
#pragma once

/* The kept copy of the text, for one more holder; NULL when out of memory. */
const char *shared_text_get(const char *text);
/* One holder of a kept copy (NULL: none) fewer; the last one frees it. */
void shared_text_put(const char *kept);
