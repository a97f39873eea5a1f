#include <string.h>

#include "basics/log.h"

static const char *const levels[] = {
        [LOG_EMERG] = "emerg",
        [LOG_ALERT] = "alert",
        [LOG_CRIT] = "crit",
        [LOG_ERR] = "err",
        [LOG_WARNING] = "warning",
        [LOG_NOTICE] = "notice",
        [LOG_INFO] = "info",
        [LOG_DEBUG] = "debug",
};

static const char *const targets[LOG_TARGET_MAX] = {
        [LOG_TARGET_CONSOLE] = "console",
        [LOG_TARGET_JOURNAL] = "journal",
};

static int parse(const char *const *names, size_t n, const char *name)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(names[i], name) == 0)
                        return (int)i;
        return -EINVAL;
}

const char *log_level_name(int level)
{
        return level >= 0 && level < (int)ARRAY_SIZE(levels) ? levels[level] : "unknown";
}

int log_level_parse(const char *name)
{
        return parse(levels, ARRAY_SIZE(levels), name);
}

const char *log_target_name(enum log_target target)
{
        return (unsigned)target < LOG_TARGET_MAX ? targets[target] : "unknown";
}

int log_target_parse(const char *name)
{
        return parse(targets, LOG_TARGET_MAX, name);
}
