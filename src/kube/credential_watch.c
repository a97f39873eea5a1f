#include "kube/credential_watch.h"

#include <stdio.h>
#include <string.h>

#include "basics/array.h"
#include "basics/backoff.h"
#include "basics/text.h"
#include "kube/discovery.h"
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
        unsigned failures;     /* in a row */
        struct error reported; /* code 0: none */
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
        return credential_load(config, ret, error);
}

static void report(struct credential_watch *watch, const struct error *error)
{
        watch->reported = error ? *error : (struct error){};
        watch->changed(watch->userdata, watch->credential, error);
}

static void succeeded(struct credential_watch *watch, struct credential *loaded)
{
        const struct credential *old = watch->credential;
        bool same = old && credential_equal(old, loaded);

        watch->failures = 0;
        if (same) {
                credential_unref(loaded);
                if (watch->reported.code != 0)
                        report(watch, NULL);
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
        else
                failed(watch, &error);
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
