#include "service/runtime_state.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "basics/fileio.h"

#define SIZE_LIMIT 8192 /* bytes */
#define FILE_MODE  0644

struct runtime_state {
        char *path;
        int lock;
        char *written; /* what the file says */
        uint64_t reloads;
        char reload_error[sizeof(((struct runtime_view *)0)->reload_error)];
};

const char *runtime_folder_from_environment(void)
{
        const char *folder = getenv("RUNTIME_DIRECTORY");

        return folder && folder[0] == '/' && !strchr(folder, ':') ? folder : NULL;
}

/* Whether the lock could be had; F_OFD_GETLK asks without taking it. */
static int lock_command(int fd, int command, short *type)
{
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

        if (fcntl(fd, command, &lock) < 0)
                return errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
        *type = lock.l_type;
        return 0;
}

static int lock_file(const char *folder, int flags, int *ret)
{
        _cleanup_close_ int fd = -1;
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/lock", folder) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, FILE_MODE);
        if (fd < 0)
                return -errno;
        *ret = TAKE_FD(fd);
        return 0;
}

static int take_lock(const char *folder, int flags, int *ret)
{
        _cleanup_close_ int fd = -1;
        short type;
        int r;

        r = lock_file(folder, flags, &fd);
        if (r < 0)
                return r;
        r = lock_command(fd, F_OFD_SETLK, &type);
        if (r < 0)
                return r;
        *ret = TAKE_FD(fd);
        return 0;
}

int runtime_lock(const char *folder, int *ret)
{
        int r = take_lock(folder, O_RDWR, ret);

        if (r == -ENOENT || r == -ENOTDIR) {
                *ret = -1;
                return 0;
        }
        return r;
}

int runtime_state_new(const char *folder, struct runtime_state **ret, struct error *error)
{
        _cleanup_(runtime_state_freep) struct runtime_state *runtime = calloc(1, sizeof(*runtime));
        int r;

        if (!runtime)
                return error_set(error, -ENOMEM, "out of memory");
        runtime->lock = -1;
        if (folder) {
                r = take_lock(folder, O_RDWR | O_CREAT, &runtime->lock);
                if (r == -EBUSY)
                        return error_set(
                                error, r, "%s/lock is held: another nodecryptor runs", folder);
                if (r < 0)
                        return error_set(error, r, "%s/lock: %s", folder, strerror(-r));
                /* The service's umask hides it, and everyone may ask. */
                (void)fchmod(runtime->lock, FILE_MODE);
                if (asprintf(&runtime->path, "%s/state", folder) < 0) {
                        runtime->path = NULL;
                        return error_set(error, -ENOMEM, "out of memory");
                }
                /* Of a daemon that was killed: older than our lock. */
                (void)unlink(runtime->path);
        }
        *ret = TAKE_PTR(runtime);
        return 0;
}

struct runtime_state *runtime_state_free(struct runtime_state *runtime)
{
        if (!runtime)
                return NULL;
        if (runtime->path)
                (void)unlink(runtime->path);
        free(runtime->path);
        free(runtime->written);
        if (runtime->lock >= 0)
                close(runtime->lock);
        free(runtime);
        return NULL;
}

/* One line, whatever the text is. */
static void append_text(struct text_builder *builder, const char *key, const char *text)
{
        size_t begin;

        text_append(builder, "%s=", key);
        begin = builder->length;
        text_append(builder, "%s", text);
        for (size_t i = begin; !builder->failed && i < builder->length; i++)
                if ((unsigned char)builder->text[i] < ' ')
                        builder->text[i] = ' ';
        text_append(builder, "\n");
}

int runtime_state_write(struct runtime_state *runtime, const struct status *status)
{
        struct text_builder builder = {};
        _cleanup_free_ char *text = NULL;
        int r;

        if (!runtime->path)
                return 0;
        text_append(&builder, "PID=%d\nSTATE=%s\nIN_SYNC=%d\nOBSERVE_ONLY=%d\n", (int)getpid(),
                state_name(status->state), status->in_sync, status->observe_only);
        text_append(&builder, "GENERATION=%" PRIu64 "\nRELOADS=%" PRIu64 "\n", status->generation,
                runtime->reloads);
        append_text(&builder, "REASON", status->reason);
        append_text(&builder, "RELOAD_ERROR", runtime->reload_error);
        r = text_take(&builder, &text);
        if (r < 0)
                return r;
        if (text_equal(text, runtime->written))
                return 0;
        r = file_write_atomic(runtime->path, text, strlen(text), FILE_MODE);
        if (r < 0)
                return r;
        free(runtime->written);
        runtime->written = TAKE_PTR(text);
        return 1;
}

void runtime_state_reloaded(struct runtime_state *runtime, const char *refusal)
{
        runtime->reloads++;
        snprintf(
                runtime->reload_error, sizeof(runtime->reload_error), "%s", refusal ? refusal : "");
}

static bool read_number(const char *text, uint64_t maximum, uint64_t *ret)
{
        return text_to_uint(text, maximum, ret) >= 0;
}

/* A line of the file; keys of a later version are passed over. */
static bool read_line(const char *key, const char *value, struct runtime_view *view)
{
        uint64_t number;

        if (strcmp(key, "STATE") == 0)
                snprintf(view->state, sizeof(view->state), "%s", value);
        else if (strcmp(key, "REASON") == 0)
                snprintf(view->reason, sizeof(view->reason), "%s", value);
        else if (strcmp(key, "RELOAD_ERROR") == 0)
                snprintf(view->reload_error, sizeof(view->reload_error), "%s", value);
        else if (strcmp(key, "GENERATION") == 0)
                return read_number(value, UINT64_MAX, &view->generation);
        else if (strcmp(key, "RELOADS") == 0)
                return read_number(value, UINT64_MAX, &view->reloads);
        else if (strcmp(key, "PID") == 0 && read_number(value, INT32_MAX, &number) && number > 1)
                view->pid = (pid_t)number;
        else if (strcmp(key, "IN_SYNC") == 0 && read_number(value, 1, &number))
                view->in_sync = number == 1;
        else if (strcmp(key, "OBSERVE_ONLY") == 0 && read_number(value, 1, &number))
                view->observe_only = number == 1;
        else
                return strcmp(key, "PID") != 0 && strcmp(key, "IN_SYNC") != 0 &&
                       strcmp(key, "OBSERVE_ONLY") != 0;
        return true;
}

static int parse(char *text, struct runtime_view *view)
{
        char *line;

        while ((line = strsep(&text, "\n"))) {
                char *value = strchr(line, '=');

                if (!*line)
                        continue;
                if (!value)
                        return -EBADMSG;
                *value++ = '\0';
                if (!read_line(line, value, view))
                        return -EBADMSG;
        }
        return view->pid == 0 || !view->state[0] ? -EBADMSG : 0;
}

static int is_alive(const char *folder)
{
        _cleanup_close_ int fd = -1;
        short type = F_UNLCK;
        int r = lock_file(folder, O_RDONLY, &fd);

        if (r >= 0)
                r = lock_command(fd, F_OFD_GETLK, &type);
        if (r == -ENOENT || r == -ENOTDIR || (r >= 0 && type == F_UNLCK))
                return -ESRCH;
        return r;
}

int runtime_state_read(const char *folder, struct runtime_view *ret)
{
        _cleanup_free_ char *path = NULL, *text = NULL;
        struct runtime_view view = {};
        int r;

        if (asprintf(&path, "%s/state", folder) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = is_alive(folder);
        if (r < 0)
                return r;
        r = file_read(path, SIZE_LIMIT, &text, NULL);
        if (r == -ENOENT)
                return -EAGAIN;
        if (r == -EFBIG || r == -EINVAL)
                return -EBADMSG;
        if (r >= 0)
                r = parse(text, &view);
        if (r < 0)
                return r;
        *ret = view;
        return 0;
}
