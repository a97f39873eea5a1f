#include "basics/fileio.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "basics/array.h"
#include "basics/util.h"

/* O_NONBLOCK: opening a FIFO somebody put in the place must not hang; for regular files no effect.
 */
#define READ_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK)

static int read_all(int fd, size_t maximum, char **ret, size_t *ret_size)
{
        _cleanup_free_ char *data = NULL;
        size_t allocated = 0, size = 0;

        for (;;) {
                ssize_t n;

                if (!ARRAY_RESERVE(data, allocated, size + 4097))
                        return -ENOMEM;
                n = read(fd, data + size, allocated - size - 1);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                size += (size_t)n;
                if (size > maximum)
                        return -EFBIG;
        }
        data[size] = '\0';
        *ret = TAKE_PTR(data);
        if (ret_size)
                *ret_size = size;
        return 0;
}

int file_read(const char *path, size_t maximum, char **ret, size_t *ret_size)
{
        _cleanup_close_ int fd = -1;
        struct stat status;

        fd = open(path, READ_FLAGS);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &status) < 0)
                return -errno;
        if (!S_ISREG(status.st_mode))
                return -EINVAL;
        if (status.st_size > 0 && (size_t)status.st_size > maximum)
                return -EFBIG;
        return read_all(fd, maximum, ret, ret_size);
}

static int write_all(int fd, const char *data, size_t size)
{
        while (size > 0) {
                ssize_t n = write(fd, data, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                data += n;
                size -= (size_t)n;
        }
        return 0;
}

static int sync_folder(const char *path)
{
        _cleanup_free_ char *folder = path_folder(path);
        _cleanup_close_ int fd = -1;

        if (!folder)
                return -ENOMEM;
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
                return -errno;
        return 0;
}

static int write_temporary(
        const char *temporary, int fd, const char *path, const void *data, size_t size, mode_t mode)
{
        int r = write_all(fd, data, size);

        if (r < 0)
                return r;
        if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
                return -errno;
        if (rename(temporary, path) < 0)
                return -errno;
        return 0;
}

int file_write_atomic(const char *path, const void *data, size_t size, mode_t mode)
{
        _cleanup_free_ char *temporary = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
                temporary = NULL;
                return -ENOMEM;
        }
        fd = mkostemp(temporary, O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = write_temporary(temporary, fd, path, data, size, mode);
        if (r < 0) {
                unlink(temporary);
                return r;
        }
        return sync_folder(path);
}

char *path_folder(const char *path)
{
        const char *slash = strrchr(path, '/');

        if (!slash)
                return strdup(".");
        if (slash == path)
                return strdup("/");
        return strndup(path, (size_t)(slash - path));
}

char *path_resolve(const char *folder, const char *path)
{
        char *resolved;

        if (path[0] == '/')
                return strdup(path);
        return asprintf(&resolved, "%s/%s", folder, path) < 0 ? NULL : resolved;
}
