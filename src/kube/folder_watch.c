#include "kube/folder_watch.h"

#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "basics/array.h"
#include "basics/backoff.h"
#include "basics/fileio.h"
#include "basics/text.h"

#define FOLDER_EVENTS                                                                       \
        (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE | IN_ATTRIB | \
                IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
/* Of an ancestor only what may bring the folder into being, or take the ancestor away. */
#define ANCESTOR_EVENTS (IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

struct folder {
        char *path;
        uint32_t events;
        ino_t inode; /* tells a folder from another that took its place */
        dev_t device;
        bool wanted;
        sd_event_source *source;
};

struct folder_watch {
        sd_event *event;
        sd_event_source *timer;
        struct folder *folders;
        size_t n_folders, allocated;
        uint64_t gather;
        void (*changed)(void *userdata);
        void *userdata;
};

static int on_gathered(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct folder_watch *watch = userdata;

        watch->changed(watch->userdata);
        return 0;
}

static int on_inotify(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
        struct folder_watch *watch = userdata;
        int enabled = SD_EVENT_OFF;

        /* An armed timer is left alone, so that a steady stream of events cannot put it off. */
        (void)sd_event_source_get_enabled(watch->timer, &enabled);
        if (enabled == SD_EVENT_OFF &&
                sd_event_source_set_time_relative(watch->timer, watch->gather) >= 0)
                (void)sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
        return 0;
}

int folder_watch_new(sd_event *event, uint64_t gather, void (*changed)(void *userdata),
        void *userdata, struct folder_watch **ret)
{
        _cleanup_(folder_watch_freep) struct folder_watch *watch = calloc(1, sizeof(*watch));
        int r;

        if (!watch)
                return -ENOMEM;
        watch->event = sd_event_ref(event);
        watch->gather = gather;
        watch->changed = changed;
        watch->userdata = userdata;
        r = sd_event_add_time_relative(
                event, &watch->timer, CLOCK_BOOTTIME, 0, USEC_PER_MSEC, on_gathered, watch);
        if (r >= 0)
                r = sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(watch);
        return 0;
}

static void folder_deinit(struct folder *folder)
{
        sd_event_source_disable_unref(folder->source);
        free(folder->path);
        *folder = (struct folder){};
}

struct folder_watch *folder_watch_free(struct folder_watch *watch)
{
        if (!watch)
                return NULL;
        for (size_t i = 0; i < watch->n_folders; i++)
                folder_deinit(&watch->folders[i]);
        free(watch->folders);
        sd_event_source_disable_unref(watch->timer);
        sd_event_unref(watch->event);
        free(watch);
        return NULL;
}

/* The folder, or its nearest ancestor that exists. */
static int nearest_folder(const char *wanted, char **ret, struct stat *ret_status, bool *ret_itself)
{
        _cleanup_free_ char *path = strdup(wanted);
        bool itself = true;

        while (path) {
                char *parent;

                if (stat(path, ret_status) >= 0 && S_ISDIR(ret_status->st_mode)) {
                        *ret = TAKE_PTR(path);
                        *ret_itself = itself;
                        return 0;
                }
                if (strcmp(path, "/") == 0 || strcmp(path, ".") == 0)
                        return -ENOENT;
                parent = path_folder(path);
                free(path);
                path = parent;
                itself = false;
        }
        return -ENOMEM;
}

static struct folder *find_folder(struct folder_watch *watch, const char *path)
{
        for (size_t i = 0; i < watch->n_folders; i++)
                if (strcmp(watch->folders[i].path, path) == 0)
                        return &watch->folders[i];
        return NULL;
}

/* 1: a watch was added. */
static int want_folder(struct folder_watch *watch, const char *wanted)
{
        _cleanup_free_ char *path = NULL;
        struct folder *folder;
        struct stat status;
        uint32_t events;
        bool itself;
        int r;

        r = nearest_folder(wanted, &path, &status, &itself);
        if (r < 0)
                return r;
        events = itself ? FOLDER_EVENTS : ANCESTOR_EVENTS;
        folder = find_folder(watch, path);
        if (folder && folder->source && folder->inode == status.st_ino &&
                folder->device == status.st_dev && (folder->events & events) == events) {
                folder->wanted = true;
                return 0;
        }
        if (!folder) {
                if (!ARRAY_RESERVE(watch->folders, watch->allocated, watch->n_folders + 1))
                        return -ENOMEM;
                folder = &watch->folders[watch->n_folders++];
                *folder = (struct folder){.path = TAKE_PTR(path)};
        }
        folder->source = sd_event_source_disable_unref(folder->source);
        folder->events |= events;
        folder->inode = status.st_ino;
        folder->device = status.st_dev;
        folder->wanted = true;
        r = sd_event_add_inotify(
                watch->event, &folder->source, folder->path, folder->events, on_inotify, watch);
        return r < 0 ? r : 1;
}

/* The folder of the name itself, and of every link that it leads through. */
static int want_path(struct folder_watch *watch, const char *name)
{
        _cleanup_free_ char *path = strdup(name);
        int result = 0;

        for (int links = 0; path && links < 8; links++) {
                _cleanup_free_ char *folder = path_folder(path);
                char target[PATH_MAX], *next;
                ssize_t length;
                int r;

                if (!folder)
                        return -ENOMEM;
                r = want_folder(watch, folder);
                if (r < 0)
                        return r;
                result |= r;
                length = readlink(path, target, sizeof(target) - 1);
                if (length < 0)
                        break;
                target[length] = '\0';
                next = path_resolve(folder, target);
                free(path);
                path = next;
        }
        return path ? result : -ENOMEM;
}

static void drop_unwanted(struct folder_watch *watch)
{
        size_t kept = 0;

        for (size_t i = 0; i < watch->n_folders; i++) {
                if (watch->folders[i].wanted && watch->folders[i].source)
                        watch->folders[kept++] = watch->folders[i];
                else
                        folder_deinit(&watch->folders[i]);
        }
        watch->n_folders = kept;
}

int folder_watch_set(struct folder_watch *watch, const char *const *paths, size_t n_paths)
{
        int failed = 0, added = 0;

        for (size_t i = 0; i < watch->n_folders; i++)
                watch->folders[i].wanted = false;
        for (size_t i = 0; i < n_paths; i++) {
                int r = want_path(watch, paths[i]);

                if (r < 0)
                        failed = r;
                else
                        added |= r;
        }
        drop_unwanted(watch);
        return failed < 0 ? failed : added;
}
