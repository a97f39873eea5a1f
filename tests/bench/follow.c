/*
 * Follows CiliumNodes as the daemon does and keeps them as its manager does; for run, it prints one
 * JSON object a line:
 *
 *     follow KUBECONFIG
 *
 * {"event":"replaced","nodes":N,"microseconds":T}
 *         a list, and how long after the start
 * {"event":"watching","cpu":T,"peak":…,"resident":…,"anonymous":…,"file":…,"malloc_used":…,
 *  "malloc_taken":…}
 *         in step, and what that has taken since the start: processor time in µs; in kB, VmHWM,
 *         VmRSS, its anonymous and its file-backed part, what malloc has handed out and what it has
 *         of the kernel
 * {"event":"changed","version":V,"received":R,"fed":F,"handed":H}
 *         CLOCK_MONOTONIC in ns: the last bytes came out of the kernel, they are decrypted and at
 *         the decoder, the node is handed over
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "kube/client.h"
#include "kube/watch_decoder.h"

int __real_watch_decoder_feed(struct watch_decoder *decoder, const char *data, size_t size);
int __wrap_watch_decoder_feed(struct watch_decoder *decoder, const char *data, size_t size);

/* What stands in the way of a function has no place for a context. */
static uint64_t received, fed;

static uint64_t monotonic(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* In the place of the C library's, also for libcurl: TLS records come through it. */
__attribute__((visibility("default"))) ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
        ssize_t n = recvfrom(fd, buffer, size, flags, NULL, NULL);

        if (n > 0)
                received = monotonic();
        return n;
}

int __wrap_watch_decoder_feed(struct watch_decoder *decoder, const char *data, size_t size)
{
        fed = monotonic();
        return __real_watch_decoder_feed(decoder, data, size);
}

struct follower {
        struct cluster *cluster;
        uint64_t begun;
};

/* The number behind "NAME:" in /proc/self/status, in kB. */
static unsigned long memory(const char *status, const char *name)
{
        const char *line = strstr(status, name);

        return line ? strtoul(line + strlen(name) + 1, NULL, 10) : 0;
}

static long microseconds(const struct timeval *time)
{
        return (long)time->tv_sec * 1000000 + (long)time->tv_usec;
}

static void print_expense(void)
{
        struct mallinfo2 heap = mallinfo2();
        struct rusage usage = {};
        char status[8192];
        FILE *file = fopen("/proc/self/status", "re");
        size_t n = file ? fread(status, 1, sizeof(status) - 1, file) : 0;

        if (file)
                fclose(file);
        status[n] = '\0';
        getrusage(RUSAGE_SELF, &usage);
        printf("{\"event\":\"watching\",\"cpu\":%ld,\"peak\":%lu,\"resident\":%lu,"
               "\"anonymous\":%lu,\"file\":%lu,\"malloc_used\":%zu,\"malloc_taken\":%zu}\n",
                microseconds(&usage.ru_utime) + microseconds(&usage.ru_stime),
                memory(status, "VmHWM"), memory(status, "VmRSS"), memory(status, "RssAnon"),
                memory(status, "RssFile"), (heap.uordblks + heap.hblkhd) / 1024,
                (heap.arena + heap.hblkhd) / 1024);
        fflush(stdout);
}

static void on_replaced(void *userdata, struct cluster *cluster)
{
        struct follower *follower = userdata;

        cluster_free(follower->cluster);
        follower->cluster = cluster;
        printf("{\"event\":\"replaced\",\"nodes\":%zu,\"microseconds\":%" PRIu64 "}\n",
                cluster->n_nodes, (monotonic() - follower->begun) / 1000);
}

static void on_changed(void *userdata, struct node *node, const char *version)
{
        uint64_t handed = monotonic();
        struct follower *follower = userdata;

        printf("{\"event\":\"changed\",\"version\":\"%s\",\"received\":%" PRIu64 ",\"fed\":%" PRIu64
               ",\"handed\":%" PRIu64 "}\n",
                version, received, fed, handed);
        fflush(stdout);
        (void)cluster_put(follower->cluster, node);
}

static void on_state(void *userdata, enum reflector_state state, const struct error *error)
{
        if (error)
                fprintf(stderr, "%s\n", error->text);
        if (state == REFLECTOR_WATCHING)
                print_expense();
}

static int on_input(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int follow(struct follower *follower, sd_event *event, const char *kubeconfig)
{
        const struct kube_client_handlers handlers = {
                .userdata = follower,
                .replaced = on_replaced,
                .changed = on_changed,
                .state = on_state,
        };
        _cleanup_(kube_client_freep) struct kube_client *client = NULL;
        int r;

        r = sd_event_add_io(event, NULL, STDIN_FILENO, EPOLLIN, on_input, NULL);
        if (r >= 0)
                r = kube_client_new(event, kubeconfig, &handlers, &client);
        if (r >= 0)
                r = kube_client_start(client);
        return r < 0 ? r : sd_event_loop(event);
}

int main(int argc, char **argv)
{
        struct follower follower = {.begun = monotonic()};
        sd_event *event = NULL;
        int r;

        if (argc != 2) {
                fprintf(stderr, "follow KUBECONFIG\n");
                return 2;
        }
        r = sd_event_new(&event);
        if (r >= 0)
                r = follow(&follower, event, argv[1]);
        cluster_free(follower.cluster);
        sd_event_unref(event);
        if (r < 0)
                fprintf(stderr, "follow: %s\n", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
