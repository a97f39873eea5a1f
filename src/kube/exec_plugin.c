#include "kube/exec_plugin.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basics/text.h"

#define INFO_NAME "KUBERNETES_EXEC_INFO"

struct exec_plugin {
        char *command, *api_version; /* for texts; what is wanted */
        void (*done)(void *userdata, struct exec_credential *credential, const struct error *error);
        void *userdata;

        pid_t group; /* 0: it has ended */
        int output;  /* our end of its standard output; −1: closed */
        sd_event_source *child, *reader, *timer;
        char *text; /* EXEC_OUTPUT_MAX + 1 bytes */
        size_t size;
        bool finished;
};

static void stop(struct exec_plugin *plugin)
{
        plugin->timer = sd_event_source_disable_unref(plugin->timer);
        plugin->reader = sd_event_source_disable_unref(plugin->reader);
        if (plugin->group > 0)
                (void)kill(-plugin->group, SIGKILL);
        plugin->group = 0;
        if (plugin->output >= 0)
                close(plugin->output);
        plugin->output = -1;
}

struct exec_plugin *exec_plugin_free(struct exec_plugin *plugin)
{
        if (!plugin)
                return NULL;
        stop(plugin);
        /* Reaps it, too: see sd_event_source_set_child_process_own(3). */
        sd_event_source_disable_unref(plugin->child);
        if (plugin->text)
                explicit_bzero(plugin->text, EXEC_OUTPUT_MAX + 1);
        free(plugin->text);
        free(plugin->command);
        free(plugin->api_version);
        free(plugin);
        return NULL;
}

static void finish(struct exec_plugin *plugin, int code, const char *why)
{
        _cleanup_(exec_credential_deinit) struct exec_credential credential = {};
        struct error error = {};

        if (plugin->finished)
                return;
        plugin->finished = true;
        stop(plugin);
        if (why)
                error_set(&error, code, "%s", why);
        else
                code = exec_credential_parse(
                        plugin->text, plugin->size, plugin->api_version, &credential, &error);
        if (code < 0)
                error_prefix(&error, "the credential plugin %.200s", plugin->command);
        plugin->done(plugin->userdata, code < 0 ? NULL : &credential, code < 0 ? &error : NULL);
}

/* Takes what is there. −EFBIG: more than is taken. 1: it has closed its end. */
static int take_output(struct exec_plugin *plugin)
{
        for (;;) {
                ssize_t n = read(plugin->output, plugin->text + plugin->size,
                        EXEC_OUTPUT_MAX + 1 - plugin->size);

                if (n < 0)
                        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
                if (n == 0)
                        return 1;
                plugin->size += (size_t)n;
                if (plugin->size > EXEC_OUTPUT_MAX)
                        return -EFBIG;
        }
}

static int on_output(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        struct exec_plugin *plugin = userdata;
        int r = take_output(plugin);

        if (r < 0)
                finish(plugin, r, "printed more than is taken");
        else if (r > 0)
                (void)sd_event_source_set_enabled(plugin->reader, SD_EVENT_OFF);
        return 0;
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
        struct exec_plugin *plugin = userdata;
        char why[64];

        if (plugin->finished)
                return 0;
        if (info->si_code == CLD_EXITED && info->si_status == 0) {
                /* Its children may hold the pipe open: what it has said itself is there by now. */
                if (take_output(plugin) < 0)
                        finish(plugin, -EFBIG, "printed more than is taken");
                else
                        finish(plugin, 0, NULL);
                return 0;
        }
        snprintf(why, sizeof(why), "ended with %s %d",
                info->si_code == CLD_EXITED ? "status" : "signal", info->si_status);
        finish(plugin, -EIO, why);
        return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
        finish(userdata, -ETIMEDOUT, "did not end in time");
        return 0;
}

/* Ours, but for the variables that the kubeconfig sets. Texts are borrowed but for `info`. */
static char **make_environment(const struct exec_config *config, char *info)
{
        size_t n = 0, k = 0;
        char **texts;

        while (environ && environ[n])
                n++;
        texts = calloc(n + config->n_environment + 2, sizeof(*texts));
        if (!texts)
                return NULL;
        /* getenv(3) takes the first of two. */
        texts[k++] = info;
        for (size_t i = 0; i < config->n_environment; i++)
                if (strncmp(config->environment[i], INFO_NAME "=", sizeof(INFO_NAME)) != 0)
                        texts[k++] = config->environment[i];
        for (size_t i = 0; i < n; i++) {
                size_t length = strcspn(environ[i], "=") + 1;
                bool set = strncmp(environ[i], INFO_NAME "=", sizeof(INFO_NAME)) == 0 ||
                           strncmp(environ[i], "NOTIFY_SOCKET=", 14) == 0;

                for (size_t j = 0; !set && j < config->n_environment; j++)
                        set = strncmp(environ[i], config->environment[j], length) == 0;
                if (!set)
                        texts[k++] = environ[i];
        }
        return texts;
}

static int prepare(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, int output)
{
        sigset_t all, none;

        sigfillset(&all);
        sigemptyset(&none);
        if (posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0) != 0 ||
                posix_spawn_file_actions_adddup2(actions, output, 1) != 0 ||
                posix_spawn_file_actions_addopen(actions, 2, "/dev/null", O_WRONLY, 0) != 0 ||
                /* libcurl's sockets are not close-on-exec. */
                posix_spawn_file_actions_addclosefrom_np(actions, 3) != 0 ||
                posix_spawnattr_setsigmask(attributes, &none) != 0 ||
                posix_spawnattr_setsigdefault(attributes, &all) != 0 ||
                posix_spawnattr_setpgroup(attributes, 0) != 0 ||
                posix_spawnattr_setflags(attributes,
                        POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP) !=
                        0)
                return -ENOMEM;
        return 0;
}

static int spawn(const struct exec_config *config, char *info, int output, pid_t *ret)
{
        _cleanup_free_ char **environment = make_environment(config, info);
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        int r;

        if (!environment || posix_spawn_file_actions_init(&actions) != 0)
                return -ENOMEM;
        if (posix_spawnattr_init(&attributes) != 0) {
                posix_spawn_file_actions_destroy(&actions);
                return -ENOMEM;
        }
        /* For a daemon that is not root: its capability is not the plugin's, and stays its own. */
        (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        r = prepare(&actions, &attributes, output);
        if (r >= 0)
                r = -posix_spawnp(ret, config->arguments[0], &actions, &attributes,
                        config->arguments, environment);
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attributes);
        return r;
}

static int add_sources(struct exec_plugin *plugin, sd_event *event, uint64_t timeout)
{
        sigset_t child;
        int r;

        /* sd-event wants it blocked before it waits for children. */
        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        (void)sigprocmask(SIG_BLOCK, &child, NULL);
        r = sd_event_add_child(event, &plugin->child, plugin->group, WEXITED, on_child, plugin);
        if (r >= 0)
                r = sd_event_source_set_child_process_own(plugin->child, true);
        if (r >= 0)
                r = sd_event_add_io(
                        event, &plugin->reader, plugin->output, EPOLLIN, on_output, plugin);
        if (r >= 0)
                r = sd_event_add_time_relative(
                        event, &plugin->timer, CLOCK_BOOTTIME, timeout, 0, on_timeout, plugin);
        return r;
}

static int launch(struct exec_plugin *plugin, const struct exec_plugin_options *options)
{
        _cleanup_free_ char *info = NULL;
        int ends[2], r;

        if (asprintf(&info, INFO_NAME "=%s", options->info) < 0)
                return -ENOMEM;
        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        plugin->output = ends[0];
        if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
                r = -errno;
        else
                r = spawn(options->config, info, ends[1], &plugin->group);
        close(ends[1]);
        return r;
}

int exec_plugin_start(sd_event *event, const struct exec_plugin_options *options,
        struct exec_plugin **ret, struct error *error)
{
        _cleanup_(exec_plugin_freep) struct exec_plugin *plugin = calloc(1, sizeof(*plugin));
        int r = -ENOMEM;

        if (plugin) {
                plugin->output = -1;
                plugin->done = options->done;
                plugin->userdata = options->userdata;
                plugin->text = malloc(EXEC_OUTPUT_MAX + 1);
                if (plugin->text &&
                        text_replace(&plugin->command, options->config->arguments[0]) >= 0 &&
                        text_replace(&plugin->api_version, options->config->api_version) >= 0)
                        r = launch(plugin, options);
                if (r >= 0)
                        r = add_sources(plugin, event, options->timeout);
        }
        if (r < 0)
                return error_set(error, r, "the credential plugin %.200s cannot be run: %s",
                        options->config->arguments[0], strerror(-r));
        *ret = TAKE_PTR(plugin);
        return 0;
}
