#include "daemon/manager.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "basics/log.h"
#include "daemon/manager_private.h"
#include "kube/discovery.h"

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
        struct error error = {};

        (void)reload(userdata, &error); /* it is logged */
        return 0;
}

static int on_terminate(
        sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
        struct manager *m = userdata;

        log_notice("ending on signal %u: the policy stays in force", info->ssi_signo);
        notify_stopping(m->notify);
        save_now(m);
        return sd_event_exit(m->event, 0);
}

static int add_signals(struct manager *m)
{
        static const struct {
                int number;
                sd_event_signal_handler_t handler;
        } wanted[] = {{SIGHUP, on_reload}, {SIGTERM, on_terminate}, {SIGINT, on_terminate}};
        sigset_t set;
        int r = 0;

        sigemptyset(&set);
        for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
                sigaddset(&set, wanted[i].number);
        /* Before any thread exists, so that none of them takes a signal away from the loop. */
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(wanted); i++)
                r = sd_event_add_signal(
                        m->event, &m->signals[i], wanted[i].number, wanted[i].handler, m);
        return r;
}

static int set_up_loop(struct manager *m)
{
        int r = sd_event_default(&m->event);

        if (r >= 0)
                r = add_signals(m);
        if (r >= 0)
                r = schedule_init(m);
        return r;
}

static int set_up_service(struct manager *m)
{
        int r = notify_new(m->event, making_progress, m, &m->notify);

        if (r >= 0)
                r = endpoints_new(m->event, &m->story.status, making_progress, m, &m->endpoints);
        return r;
}

/* One daemon a folder: two would take each other's changes for foreign ones. */
static int set_up_runtime(struct manager *m, struct error *error)
{
        return runtime_state_new(runtime_folder_from_environment(), &m->runtime, error);
}

static int set_up_kernel(struct manager *m, struct error *error)
{
        int r = reconciler_init(&m->reconciler, m->settings->state_directory, error);

        if (r < 0)
                return r;
        if (r > 0)
                log_warning("earlier tables and priorities are not known, what they left stays: %s",
                        error->text);
        /* Before the first read, so that no change falls between the two. */
        r = kernel_events_init(m);
        if (r < 0)
                return error_set(error, r, "watching the kernel: %s", strerror(-r));
        watch_layouts(m);
        return 0;
}

/* Whose credential it is tells whether the snapshot is of this cluster: files only, no network. */
static void look_at_credential(struct manager *m)
{
        _cleanup_(kubeconfig_freep) struct kubeconfig *kubeconfig = NULL;
        _cleanup_(credential_unrefp) struct credential *credential = NULL;
        int r;

        r = m->settings->kubeconfig ? kubeconfig_load(m->settings->kubeconfig, &kubeconfig, NULL)
                                    : discovery_find(NULL, &kubeconfig, NULL);
        if (r >= 0)
                r = credential_load(kubeconfig, NULL, &credential, NULL);
        /* Without one, as before a join: the API client waits for it, and tells. */
        if (r >= 0)
                (void)knowledge_set_credential(&m->knowledge, credential);
}

static int set_up_knowledge(struct manager *m, struct error *error)
{
        struct error why = {};
        int r;

        if (mkdir(m->settings->state_directory, 0700) < 0 && errno != EEXIST)
                log_warning("%s: %s", m->settings->state_directory, strerror(errno));
        r = knowledge_init(&m->knowledge, m->settings->state_directory);
        if (r < 0)
                return error_set(error, r, "out of memory");
        look_at_credential(m);
        r = knowledge_load(&m->knowledge, &why);
        story_snapshot_loaded(&m->story, &m->knowledge, r, &why);
        return 0;
}

int manager_new(const struct options *options, struct settings *settings, struct manager **ret,
        struct error *error)
{
        _cleanup_(manager_freep) struct manager *m = calloc(1, sizeof(*m));
        int r;

        if (!m) {
                settings_free(settings);
                return error_set(error, -ENOMEM, "out of memory");
        }
        m->options = options;
        m->settings = settings;
        m->configured_mode = settings->mode;
        story_init(&m->story, settings);
        r = set_up_loop(m);
        if (r >= 0)
                r = set_up_service(m);
        if (r < 0)
                return error_set(error, r, "event loop: %s", strerror(-r));
        r = set_up_runtime(m, error);
        if (r >= 0)
                r = set_up_knowledge(m, error);
        if (r >= 0)
                r = set_up_kernel(m, error);
        if (r < 0)
                return r;
        reconcile_run(m);
        listen_endpoints(m);
        r = bus_events_init(m);
        if (r < 0)
                return error_set(error, r, "event loop: %s", strerror(-r));
        r = api_events_init(m, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(m);
        return 0;
}

struct manager *manager_free(struct manager *m)
{
        kube_client_free(m->kube);
        monitor_free(m->monitor);
        bus_free(m->bus);
        endpoints_free(m->endpoints);
        notify_free(m->notify);
        runtime_state_free(m->runtime);
        for (size_t i = 0; i < ARRAY_SIZE(m->signals); i++)
                sd_event_source_disable_unref(m->signals[i]);
        schedule_deinit(m);
        sd_event_unref(m->event);
        reconciler_deinit(&m->reconciler);
        knowledge_deinit(&m->knowledge);
        story_deinit(&m->story);
        settings_free(m->settings);
        free(m);
        return NULL;
}

int manager_run(struct manager *m)
{
        return sd_event_loop(m->event);
}
