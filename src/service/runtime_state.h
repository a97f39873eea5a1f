/*
 * The daemon's state as a small file in /run, for those who have to know before D-Bus is there and
 * with the health endpoint switched off: `nodecryptorctl wait`, `reload` and `flush`.
 *
 *   FOLDER/lock    write-locked (F_OFD_SETLK) as long as the daemon lives; goes with it, however it
 *                  ends, so that a state that was left behind is never taken for a living one.
 *   FOLDER/state   KEY=VALUE lines, as systemd-networkd has them: PID, STATE, REASON, IN_SYNC,
 *                  OBSERVE_ONLY, GENERATION, RELOADS, RELOAD_ERROR. Replaced whole, and only when
 *                  something in it has changed.
 *
 * Both are readable by everyone; the folder is the unit's RuntimeDirectory=.
 */
#pragma once

#include <sys/types.h>

#include "basics/error.h"
#include "service/status.h"

#define RUNTIME_FOLDER "/run/nodecryptor"

/* $RUNTIME_DIRECTORY (systemd.exec(5); the first of several), NULL when it is not set. Not freed:
 * valid as long as the environment stands. A list is never ours: NULL as well. */
const char *runtime_folder_from_environment(void);

/* The daemon's side. */

struct runtime_state;

/*
 * Takes the lock. `folder` NULL: nothing is written anywhere, and every function below succeeds.
 * −EBUSY: another daemon, or `nodecryptorctl flush`, holds it. Otherwise what open(2) said.
 */
int runtime_state_new(const char *folder, struct runtime_state **ret, struct error *error);
/* Removes the state, gives the lock back. Returns NULL. */
struct runtime_state *runtime_state_free(struct runtime_state *runtime);
DEFINE_CLEANUP(struct runtime_state *, runtime_state_free)

/* What holds now. 1: written; 0: the file says so already. Negative errno: it is tried again with
 * the next call. */
int runtime_state_write(struct runtime_state *runtime, const struct status *status);
/* A reload is done: in force, or refused with that text (NULL: none). Written with the next
 * runtime_state_write(). */
void runtime_state_reloaded(struct runtime_state *runtime, const char *refusal);

/* The reader's side. */

struct runtime_view {
        pid_t pid;
        char state[16]; /* state_name() */
        char reason[STATUS_TEXT_MAX];
        bool in_sync;
        bool observe_only;
        uint64_t generation;
        uint64_t reloads;       /* since its start */
        char reload_error[512]; /* why the last one was refused; "" when it was not */
};

/*
 * −ESRCH: no daemon lives there. −EAGAIN: one lives and has written nothing yet. −EBADMSG: not such
 * a file. Never waits and takes no lock.
 */
int runtime_state_read(const char *folder, struct runtime_view *ret);
/*
 * Holds a daemon off until *ret is closed. −EBUSY: one is running. *ret is −1 when the folder does
 * not exist: no daemon has it then.
 */
int runtime_lock(const char *folder, int *ret);
