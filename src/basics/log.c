/* The journal's own macros would stamp CODE_FILE with this file for every message. */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include "basics/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#define MESSAGE_MAX 2048
#define FIELDS_MAX  16

static int log_level = LOG_INFO;
static bool log_to_journal;
static const char *log_program = "nodecryptor";

/* systemd.exec(5): JOURNAL_STREAM holds "device:inode" of the stream that stderr is if it is ours.
 */
static bool stderr_is_journal(void)
{
        const char *stream = getenv("JOURNAL_STREAM");
        struct stat status;
        char ours[64];

        if (!stream || fstat(STDERR_FILENO, &status) < 0)
                return false;
        snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
        return strcmp(stream, ours) == 0;
}

void log_init(const char *program)
{
        log_program = program;
        log_to_journal = stderr_is_journal();
}

void log_set_level(int level)
{
        log_level = level;
}

int log_get_level(void)
{
        return log_level;
}

void log_set_target(enum log_target target)
{
        log_to_journal = target == LOG_TARGET_JOURNAL;
}

enum log_target log_get_target(void)
{
        return log_to_journal ? LOG_TARGET_JOURNAL : LOG_TARGET_CONSOLE;
}

const char *log_get_program(void)
{
        return log_program;
}

static void write_stderr(const char *message)
{
        fprintf(stderr, "%s: %s\n", log_program, message);
}

static void write_journal(
        int priority, const char *message_id, const char *const *fields, const char *message)
{
        char message_field[MESSAGE_MAX + sizeof("MESSAGE=")],
                priority_field[sizeof("PRIORITY=") + 4];
        char id_field[sizeof("MESSAGE_ID=") + 40],
                identifier_field[sizeof("SYSLOG_IDENTIFIER=") + 32];
        const char *entries[FIELDS_MAX + 4];
        struct iovec vector[FIELDS_MAX + 4];
        int n = 0;

        snprintf(message_field, sizeof(message_field), "MESSAGE=%s", message);
        snprintf(priority_field, sizeof(priority_field), "PRIORITY=%i", priority);
        snprintf(identifier_field, sizeof(identifier_field), "SYSLOG_IDENTIFIER=%s", log_program);
        entries[n++] = message_field;
        entries[n++] = priority_field;
        entries[n++] = identifier_field;
        if (message_id) {
                snprintf(id_field, sizeof(id_field), "MESSAGE_ID=%s", message_id);
                entries[n++] = id_field;
        }
        for (; fields && *fields && n < (int)ARRAY_SIZE(entries); fields++)
                entries[n++] = *fields;
        for (int i = 0; i < n; i++)
                vector[i] = (struct iovec){
                        .iov_base = (char *)entries[i],
                        .iov_len = strlen(entries[i]),
                };
        if (sd_journal_sendv(vector, n) < 0)
                write_stderr(message);
}

static _printf_(4, 0) void write_message(int priority, const char *message_id,
        const char *const *fields, const char *format, va_list arguments)
{
        char message[MESSAGE_MAX];

        if (priority > log_level)
                return;
        vsnprintf(message, sizeof(message), format, arguments);
        if (log_to_journal)
                write_journal(priority, message_id, fields, message);
        else
                write_stderr(message);
}

void log_write(int priority, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        write_message(priority, NULL, NULL, format, arguments);
        va_end(arguments);
}

void log_event(
        int priority, const char *message_id, const char *const *fields, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        write_message(priority, message_id, fields, format, arguments);
        va_end(arguments);
}
