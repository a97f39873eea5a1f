#include "kube/credential_watch.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "basics/array.h"
#include "basics/backoff.h"
#include "basics/text.h"
#include "kube/discovery.h"
#include "kube/exec_plugin.h"
#include "kube/folder_watch.h"

/* Quick retries while a rotation may be under way; after them the age decides. */
#define RETRIES_MAX 5

struct credential_watch {
        sd_event *event;
        char *kubeconfig;
        char *root;
        struct credential_watch_timings timings;
        void (*changed)(void *, const struct credential *, const struct error *);
        void *userdata;

        struct folder_watch *folders;
        sd_event_source *timer; /* the next look, by age or as a retry */
        const struct credential *credential;
        unsigned failures; /* in a row */

        struct exec_config *config; /* that the plugin runs, or ran, for; NULL: none did */
        struct exec_plugin *plugin; /* running, or ended and to be freed; NULL: none */
        bool running;
        bool answered;                 /* what follows is there */
        struct exec_credential answer; /* what it said last */
        uint64_t asked_at;             /* CLOCK_BOOTTIME in µs: the plugin was started last */
        uint64_t refresh_at;           /* CLOCK_BOOTTIME in µs: ask again; UINT64_MAX: never */
        struct backoff plugin_backoff;
        struct error plugin_error; /* why there is no answer; code 0: it is not known yet */
        struct error reported;     /* code 0: none */
};

/* The names to watch; owned. */
struct names {
        char **items;
        size_t n, allocated;
};

static void names_deinit(struct names *names)
{
        for (size_t i = 0; i < names->n; i++)
                free(names->items[i]);
        free(names->items);
        *names = (struct names){};
}

static int names_add(struct names *names, const char *prefix, const char *path)
{
        if (!ARRAY_RESERVE(names->items, names->allocated, names->n + 1))
                return -ENOMEM;
        if (asprintf(&names->items[names->n], "%s%s", prefix ? prefix : "", path) < 0)
                return -ENOMEM;
        names->n++;
        return 0;
}

struct credential_watch_timings credential_watch_timings_default(void)
{
        return (struct credential_watch_timings){
                .gather = 200 * USEC_PER_MSEC,
                .retry = USEC_PER_SEC,
                .recheck = 60 * USEC_PER_SEC,
                .plugin = EXEC_TIMEOUT,
        };
}

/* The kubeconfig's own places; better ones than the one in force are watched as well. */
static int add_places(const struct credential_watch *watch, struct names *names)
{
        const char *const *candidates;
        size_t n;
        int r = 0;

        if (watch->kubeconfig)
                return names_add(names, NULL, watch->kubeconfig);
        candidates = discovery_candidates(&n);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = names_add(names, watch->root, candidates[i]);
        return r;
}

static uint64_t now(const struct credential_watch *watch)
{
        uint64_t usec = 0;

        (void)sd_event_now(watch->event, CLOCK_BOOTTIME, &usec);
        return usec;
}

/* Three quarters of its time from now: early enough for a plugin that is slow, or fails once. */
static uint64_t refresh_time(
        const struct credential_watch *watch, const struct exec_credential *answer)
{
        int64_t left = answer->expires - (int64_t)time(NULL);

        if (answer->expires == 0)
                return UINT64_MAX;
        /* One that is over already, or for longer than anybody will wait. */
        left = left < 1 ? 1 : left > 86400 * 365 ? 86400 * 365 : left;
        return now(watch) + (uint64_t)left * USEC_PER_SEC / 4 * 3;
}

static void on_answer(void *userdata, struct exec_credential *answer, const struct error *error)
{
        struct credential_watch *watch = userdata;

        watch->running = false;
        if (answer) {
                exec_credential_deinit(&watch->answer);
                watch->answer = *answer;
                *answer = (struct exec_credential){};
                watch->answered = true;
                watch->refresh_at = refresh_time(watch, &watch->answer);
                watch->plugin_error = (struct error){};
                backoff_reset(&watch->plugin_backoff);
        } else {
                watch->plugin_error = *error;
                watch->refresh_at = now(watch) + backoff_next(&watch->plugin_backoff);
        }
        credential_watch_check(watch);
}

static void forget_plugin(struct credential_watch *watch)
{
        watch->plugin = exec_plugin_free(watch->plugin);
        watch->config = exec_config_free(watch->config);
        exec_credential_deinit(&watch->answer);
        watch->plugin_error = (struct error){};
        watch->running = watch->answered = false;
        watch->refresh_at = watch->asked_at = 0;
        backoff_reset(&watch->plugin_backoff);
}

static int start_plugin(
        struct credential_watch *watch, const struct kubeconfig *config, struct error *error)
{
        _cleanup_(blob_deinit) struct blob file = {};
        _cleanup_free_ char *info = NULL;
        struct exec_plugin_options options = {
                .config = config->exec,
                .timeout = watch->timings.plugin,
                .done = on_answer,
                .userdata = watch,
        };
        int r = 0;

        if (config->exec->provide_cluster_info && config->ca_path)
                r = blob_read_file(config->ca_path, &file);
        if (r >= 0)
                r = exec_credential_info(config, file.data ? &file : &config->ca, &info);
        if (r < 0)
                return error_set(error, r, "%s: what the credential plugin is to be told: %s",
                        config->path, strerror(-r));
        options.info = info;
        watch->plugin = exec_plugin_free(watch->plugin);
        r = exec_plugin_start(watch->event, &options, &watch->plugin, error);
        watch->running = r >= 0;
        watch->asked_at = now(watch);
        if (r < 0)
                watch->refresh_at = now(watch) + backoff_next(&watch->plugin_backoff);
        return r;
}

/* Asks the plugin when it is time to. −EAGAIN: there is no answer yet. */
static int ask_plugin(
        struct credential_watch *watch, const struct kubeconfig *config, struct error *error)
{
        int r = 0;

        if (!watch->config || !exec_config_equal(watch->config, config->exec)) {
                forget_plugin(watch);
                watch->config = exec_config_copy(config->exec);
                if (!watch->config)
                        return error_set(error, -ENOMEM, "out of memory");
        }
        if (!watch->running && now(watch) >= watch->refresh_at)
                r = start_plugin(watch, config, &watch->plugin_error);
        if (watch->answered)
                return 0;
        if (watch->plugin_error.code < 0)
                return error_set(error, watch->plugin_error.code, "%s", watch->plugin_error.text);
        return r < 0 ? r : -EAGAIN;
}

/* Reads everything; `names` gets all files that play a part, also when it fails. */
static int load(struct credential_watch *watch, struct names *names, struct credential **ret,
        struct error *error)
{
        _cleanup_(kubeconfig_freep) struct kubeconfig *config = NULL;
        const char *paths[6];
        int r;

        r = add_places(watch, names);
        if (r < 0)
                return error_set(error, r, "out of memory");
        if (watch->kubeconfig)
                r = kubeconfig_load(watch->kubeconfig, &config, error);
        else
                r = discovery_find(watch->root, &config, error);
        if (r < 0)
                return r;
        credential_paths(config, paths);
        for (size_t i = 0; paths[i]; i++)
                if (names_add(names, NULL, paths[i]) < 0)
                        return error_set(error, -ENOMEM, "out of memory");
        if (!config->exec) {
                forget_plugin(watch);
                return credential_load(config, NULL, ret, error);
        }
        r = ask_plugin(watch, config, error);
        return r < 0 ? r : credential_load(config, &watch->answer, ret, error);
}

static void report(struct credential_watch *watch, const struct error *error)
{
        watch->reported = error ? *error : (struct error){};
        watch->changed(watch->userdata, watch->credential, error);
}

static void succeeded(struct credential_watch *watch, struct credential *loaded)
{
        const struct credential *old = watch->credential;
        /* The answer in force is good, and its plugin fails to renew it. */
        const struct error *problem = watch->plugin_error.code < 0 ? &watch->plugin_error : NULL;

        watch->failures = 0;
        if (old && credential_equal(old, loaded)) {
                credential_unref(loaded);
                if (strcmp(watch->reported.text, problem ? problem->text : "") != 0)
                        report(watch, problem);
                return;
        }
        /* The old one lives until the handler has let go of it. */
        watch->credential = loaded;
        report(watch, NULL);
        credential_unref(old);
}

static void failed(struct credential_watch *watch, const struct error *error)
{
        watch->failures++;
        if (watch->credential && watch->failures == 1)
                return;
        if (watch->reported.code == 0 || strcmp(watch->reported.text, error->text) != 0)
                report(watch, error);
}

/* When to look again without being told by inotify. */
static uint64_t next_look(const struct credential_watch *watch, int loaded, int watched)
{
        uint64_t at = now(watch);

        if (watch->config && !watch->running && watch->refresh_at < at + watch->timings.recheck)
                return watch->refresh_at > at ? watch->refresh_at - at : watch->timings.gather;
        /* What happened before a new watch stood, or instead of one, is unseen. */
        if (watched > 0 || watched == -ENOENT)
                return watch->timings.gather;
        if (loaded < 0 && watch->credential && watch->failures < RETRIES_MAX)
                return watch->timings.retry;
        return watch->timings.recheck;
}

void credential_watch_check(struct credential_watch *watch)
{
        _cleanup_(names_deinit) struct names names = {};
        struct credential *loaded = NULL;
        struct error error = {};
        int r, watched;

        r = load(watch, &names, &loaded, &error);
        watched = folder_watch_set(watch->folders, (const char *const *)names.items, names.n);
        if (sd_event_source_set_time_relative(watch->timer, next_look(watch, r, watched)) >= 0)
                (void)sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);

        if (r >= 0)
                succeeded(watch, loaded);
        else if (r != -EAGAIN)
                failed(watch, &error);
}

void credential_watch_refused(struct credential_watch *watch)
{
        /* An answer that has just come was not the one refused. */
        if (!watch->running && now(watch) - watch->asked_at >= watch->timings.retry)
                watch->refresh_at = 0;
        credential_watch_check(watch);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        credential_watch_check(userdata);
        return 0;
}

static void on_folders(void *userdata)
{
        credential_watch_check(userdata);
}

int credential_watch_new(sd_event *event, const struct credential_watch_options *options,
        struct credential_watch **ret)
{
        _cleanup_(credential_watch_freep) struct credential_watch *watch =
                calloc(1, sizeof(*watch));
        int r;

        if (!watch || text_replace(&watch->kubeconfig, options->kubeconfig) < 0 ||
                text_replace(&watch->root, options->root) < 0)
                return -ENOMEM;
        watch->event = sd_event_ref(event);
        watch->timings = options->timings;
        watch->plugin_backoff = BACKOFF_INIT(watch->timings.retry, watch->timings.recheck);
        watch->changed = options->changed;
        watch->userdata = options->userdata;
        r = folder_watch_new(event, watch->timings.gather, on_folders, watch, &watch->folders);
        if (r < 0)
                return r;
        r = sd_event_add_time_relative(
                event, &watch->timer, CLOCK_BOOTTIME, 0, USEC_PER_MSEC, on_timer, watch);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(watch);
        return 0;
}

struct credential_watch *credential_watch_free(struct credential_watch *watch)
{
        if (!watch)
                return NULL;
        forget_plugin(watch);
        sd_event_source_disable_unref(watch->timer);
        folder_watch_free(watch->folders);
        credential_unref(watch->credential);
        free(watch->kubeconfig);
        free(watch->root);
        sd_event_unref(watch->event);
        free(watch);
        return NULL;
}

const struct credential *credential_watch_get(const struct credential_watch *watch)
{
        return watch->credential;
}
