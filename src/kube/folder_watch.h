/*
 * Watches, by inotify, the folders in which a changing set of files lies: also folders that do not
 * exist yet, by way of their nearest ancestor that does, and the folders behind symbolic links.
 * Folders and not files, because a rotation renames a new file or link over the old one.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "basics/util.h"

struct folder_watch;

/*
 * `changed` is called when something happened in one of the folders, which tells to look at the
 * files; what happens within `gather` µs of the first event is one call.
 */
int folder_watch_new(sd_event *event, uint64_t gather, void (*changed)(void *userdata),
        void *userdata, struct folder_watch **ret);
struct folder_watch *folder_watch_free(struct folder_watch *watch);
DEFINE_CLEANUP(struct folder_watch *, folder_watch_free)

/*
 * Watches for these files from now on, and not for others. 1: a watch was added, so that what
 * happened between reading the files and this call may have been missed: read them again.
 * 0: nothing new. Negative: a folder cannot be watched (−ENOSPC: too many inotify watches); the
 * others are.
 */
int folder_watch_set(struct folder_watch *watch, const char *const *paths, size_t n_paths);
