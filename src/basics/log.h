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

enum log_target {
        LOG_TARGET_CONSOLE, /* plain lines to stderr */
        LOG_TARGET_JOURNAL, /* with fields, by the journal's own protocol */
        LOG_TARGET_MAX,
};

/* As log_init() found stderr, unless set. */
void log_set_target(enum log_target target);
enum log_target log_get_target(void);
/* What log_init() was told. */
const char *log_get_program(void);

/*
 * The names that org.freedesktop.LogControl1(5) gives them: "emerg", "alert", "crit", "err",
 * "warning", "notice", "info", "debug"; "console", "journal". Parsing: −EINVAL for other names.
 */
const char *log_level_name(int level);
int log_level_parse(const char *name);
const char *log_target_name(enum log_target target);
int log_target_parse(const char *name);

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
