#include "ctl/network_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basics/text.h"

static int path_of(const char *name, const char *pid, char **ret, struct error *error)
{
        uint64_t number;
        int n;

        if (!name && (text_to_uint(pid, INT32_MAX, &number) < 0 || number == 0))
                return error_set(error, -EINVAL, "--pid %s: not a process", pid);
        n = !name               ? asprintf(ret, "/proc/%s/ns/net", pid)
            : strchr(name, '/') ? asprintf(ret, "%s", name)
                                : asprintf(ret, "/run/netns/%s", name);
        return n < 0 ? error_set(error, -ENOMEM, "out of memory") : 0;
}

int network_namespace_open(
        const char *name, const char *pid, struct network_namespace *ret, struct error *error)
{
        struct network_namespace namespace = NETWORK_NAMESPACE_NONE;
        _cleanup_free_ char *path = NULL;
        int r = path_of(name, pid, &path, error);

        if (r < 0)
                return r;
        namespace.theirs = open(path, O_RDONLY | O_CLOEXEC);
        if (namespace.theirs < 0)
                return error_set(error, -errno, "%s: %s", path, strerror(errno));
        namespace.ours = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        if (namespace.ours < 0) {
                r = error_set(error, -errno, "/proc/self/ns/net: %s", strerror(errno));
                network_namespace_close(&namespace);
                return r;
        }
        *ret = namespace;
        return 0;
}

void network_namespace_close(struct network_namespace *namespace)
{
        if (namespace->theirs >= 0)
                close(namespace->theirs);
        if (namespace->ours >= 0)
                close(namespace->ours);
        *namespace = (struct network_namespace)NETWORK_NAMESPACE_NONE;
}

bool network_namespace_is_ours(const struct network_namespace *namespace)
{
        struct stat theirs, ours;

        return fstat(namespace->theirs, &theirs) == 0 && fstat(namespace->ours, &ours) == 0 &&
               theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

static int move_to(int fd, struct error *error)
{
        if (setns(fd, CLONE_NEWNET) < 0)
                return error_set(error, errno == EINVAL ? -ENODEV : -errno,
                        "entering a network namespace: %s", strerror(errno));
        return 0;
}

int network_namespace_enter(const struct network_namespace *namespace, struct error *error)
{
        return move_to(namespace->theirs, error);
}

int network_namespace_leave(const struct network_namespace *namespace, struct error *error)
{
        return move_to(namespace->ours, error);
}
