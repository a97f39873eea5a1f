/*
 * Logging: to the journal with fields when stderr is the journal's, else plain lines to stderr.
 * Only daemon/ and the programs log: every other layer hands errors up (basics/error.h).
 * Log transitions, once; what repeats belongs into the status and the metrics.
 */
#pragma once

#include <syslog.h>

#include "basics/util.h"

/* LOG_ERR: action needed. LOG_WARNING: we go on. LOG_NOTICE: state changed. LOG_INFO: generation.
 */
void log_init(const char *program);
/* What is less urgent than `level` is dropped; LOG_INFO unless set. */
void log_set_level(int level);
int log_get_level(void);

void log_write(int priority, const char *format, ...) _printf_(2, 3);

/*
 * An entry with a message id (basics/message_id.h) and further fields: a NULL-terminated array of
 * "NAME=value" texts, or NULL. On stderr only the message is seen.
 */
void log_event(int priority, const char *message_id, const char *const *fields, const char *format,
        ...) _printf_(4, 5);

#define log_error(...)   log_write(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)  log_write(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)    log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_DEBUG, __VA_ARGS__)
