/*
 * org.freedesktop.LogControl1(5), which `systemctl service-log-level` and `service-log-target`
 * speak.
 */
#include <string.h>

#include "basics/log.h"
#include "service/bus_internal.h"

#define LOG_CONTROL_PATH      "/org/freedesktop/LogControl1"
#define LOG_CONTROL_INTERFACE "org.freedesktop.LogControl1"
#define PROPERTIES            "org.freedesktop.DBus.Properties"

static int get_level(sd_bus *connection, const char *path, const char *interface,
        const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        return sd_bus_message_append(reply, "s", log_level_name(log_get_level()));
}

static int get_target(sd_bus *connection, const char *path, const char *interface,
        const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        return sd_bus_message_append(reply, "s", log_target_name(log_get_target()));
}

static int get_identifier(sd_bus *connection, const char *path, const char *interface,
        const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        return sd_bus_message_append(reply, "s", log_get_program());
}

/* Never reached: on_call() sees each Set first. */
static int set_nothing(sd_bus *connection, const char *path, const char *interface,
        const char *property, sd_bus_message *value, void *userdata, sd_bus_error *error)
{
        return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "Not here.");
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_WRITABLE_PROPERTY(
                "LogLevel", "s", get_level, set_nothing, 0, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_WRITABLE_PROPERTY(
                "LogTarget", "s", get_target, set_nothing, 0, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("SyslogIdentifier", "s", get_identifier, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_VTABLE_END,
};

static int act_set(struct bus *bus, sd_bus_message *call, sd_bus_error *error)
{
        const char *interface, *property, *value;
        int r = sd_bus_message_rewind(call, true), n;

        if (r >= 0)
                r = sd_bus_message_read(call, "ss", &interface, &property);
        if (r < 0)
                return r;
        if ((*interface && strcmp(interface, LOG_CONTROL_INTERFACE) != 0) ||
                (strcmp(property, "LogLevel") != 0 && strcmp(property, "LogTarget") != 0))
                return sd_bus_error_setf(error,
                        strcmp(property, "SyslogIdentifier") == 0 ? SD_BUS_ERROR_PROPERTY_READ_ONLY
                                                                  : SD_BUS_ERROR_UNKNOWN_PROPERTY,
                        "Property %s cannot be set.", property);
        if (sd_bus_message_read(call, "v", "s", &value) < 0)
                return sd_bus_error_setf(
                        error, SD_BUS_ERROR_INVALID_ARGS, "%s takes a string.", property);
        n = strcmp(property, "LogLevel") == 0 ? log_level_parse(value) : log_target_parse(value);
        if (n < 0)
                return sd_bus_error_setf(
                        error, SD_BUS_ERROR_INVALID_ARGS, "\"%s\" is no %s.", value, property);
        if (strcmp(property, "LogLevel") == 0)
                log_set_level(n);
        else
                log_set_target((enum log_target)n);
        return sd_bus_reply_method_return(call, NULL);
}

/*
 * A property's setter has to answer at once, which is before the bus has said who sets it: so Set
 * is taken before sd-bus sees it as one.
 */
static int on_call(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        if (!sd_bus_message_is_method_call(call, PROPERTIES, "Set"))
                return 0;
        if (!sd_bus_message_has_signature(call, "ssv"))
                return sd_bus_error_set(
                        error, SD_BUS_ERROR_INVALID_ARGS, "Set takes interface, name and value.");
        return bus_privileged(userdata, call, act_set, error);
}

int log_control_add(struct bus *bus)
{
        int r = sd_bus_add_object(bus->connection, NULL, LOG_CONTROL_PATH, on_call, bus);

        if (r < 0)
                return r;
        return sd_bus_add_object_vtable(
                bus->connection, NULL, LOG_CONTROL_PATH, LOG_CONTROL_INTERFACE, vtable, bus);
}
