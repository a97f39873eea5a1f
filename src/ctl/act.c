/*
 * nodecryptorctl resync, observe, enforce: what the daemon does when told to.
 */
#include <stdio.h>

#include "basics/log.h"
#include "ctl/bus_client.h"
#include "ctl/verbs.h"

static int act(int argc, char **argv, const char *method, const char *argument, const char *done)
{
        _cleanup_(bus_client_freep) struct bus_client *client = NULL;
        struct error error = {};
        int r;

        if (argc != 1) {
                log_error("%s takes no argument", argv[0]);
                return EXIT_USAGE;
        }
        r = bus_client_new(&client, &error);
        if (r >= 0)
                r = bus_client_act(client, method, argument, &error);
        if (r < 0)
                log_error("%s: %s", argv[0], error.text);
        else
                puts(done);
        return bus_exit_status(r);
}

int verb_resync(int argc, char **argv)
{
        return act(argc, argv, "Resync", NULL,
                "The kernel was read again and is as it should be; the API is asked for a new "
                "list.");
}

int verb_observe(int argc, char **argv)
{
        return act(argc, argv, "SetMode", "observe",
                "Observing until the daemon ends: what stands in the kernel stays and is not "
                "maintained.");
}

int verb_enforce(int argc, char **argv)
{
        return act(argc, argv, "SetMode", "enforce", "Enforcing: the kernel holds the policy.");
}
