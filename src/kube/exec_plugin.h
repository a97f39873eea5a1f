/*
 * Runs a credential plugin: no shell, a process group of its own, none of our descriptors, standard
 * input and standard error from and to /dev/null; its answer is read on the event loop, within a
 * time limit.
 */
#pragma once

#include <systemd/sd-event.h>

#include "kube/exec_config.h"
#include "kube/exec_credential.h"

#define EXEC_TIMEOUT (60 * UINT64_C(1000000)) /* µs */

struct exec_plugin;

struct exec_plugin_options {
        const struct exec_config *config; /* borrowed until the end of exec_plugin_start() */
        const char *info;                 /* KUBERNETES_EXEC_INFO; likewise */
        uint64_t timeout;                 /* µs */
        /*
         * Once, from the event loop: the credential (to be copied or taken out of), or NULL and
         * why. The plugin is to be freed, in here or later. Whatever it has printed on standard
         * error is not shown: it may be secret.
         */
        void (*done)(void *userdata, struct exec_credential *credential, const struct error *error);
        void *userdata;
};

/* Negative with words: it cannot be run. */
int exec_plugin_start(sd_event *event, const struct exec_plugin_options *options,
        struct exec_plugin **ret, struct error *error);
/* Kills what still runs of it; returns NULL. */
struct exec_plugin *exec_plugin_free(struct exec_plugin *plugin);
DEFINE_CLEANUP(struct exec_plugin *, exec_plugin_free)
