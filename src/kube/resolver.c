#include "kube/resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "basics/backoff.h"

#define REFRESH_MINIMUM USEC_PER_SEC

/* What the thread sends: one datagram, so that it comes whole or not at all. */
struct answer {
        int code; /* of getaddrinfo(3) */
        size_t n;
        struct address addresses[RESOLVER_ADDRESSES_MAX];
};

/* The thread's own; nothing of it is shared. */
struct job {
        char *host;
        int fd;
};

struct resolver {
        sd_event *event;
        char *host;
        uint64_t interval;
        void (*resolved)(void *, const struct address *, size_t, const struct error *);
        void *userdata;

        sd_event_source *timer;
        sd_event_source *io; /* while a thread is at work; it owns the descriptor */
        uint64_t begun;
        struct address addresses[RESOLVER_ADDRESSES_MAX];
        size_t n_addresses;
        bool literal;
};

static bool take_sockaddr(const struct sockaddr *from, struct address *ret)
{
        struct address address = {.family = (uint8_t)from->sa_family};

        if (from->sa_family == AF_INET)
                memcpy(address.bytes, &((const struct sockaddr_in *)(const void *)from)->sin_addr,
                        4);
        else if (from->sa_family == AF_INET6)
                memcpy(address.bytes, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr,
                        16);
        else
                return false;
        *ret = address;
        return true;
}

static void add_sorted(struct answer *answer, const struct address *address)
{
        size_t at = 0;

        while (at < answer->n && address_compare(&answer->addresses[at], address) < 0)
                at++;
        if (at < answer->n && address_equal(&answer->addresses[at], address))
                return;
        if (answer->n == RESOLVER_ADDRESSES_MAX)
                return;
        memmove(&answer->addresses[at + 1], &answer->addresses[at],
                (answer->n - at) * sizeof(answer->addresses[0]));
        answer->addresses[at] = *address;
        answer->n++;
}

static void *resolve_thread(void *userdata)
{
        static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
        struct job *job = userdata;
        struct answer answer = {};
        struct addrinfo *found = NULL;

        answer.code = getaddrinfo(job->host, NULL, &hints, &found);
        if (answer.code == 0) {
                for (struct addrinfo *each = found; each; each = each->ai_next) {
                        struct address address;

                        if (take_sockaddr(each->ai_addr, &address))
                                add_sorted(&answer, &address);
                }
                freeaddrinfo(found);
        }
        (void)!send(job->fd, &answer, sizeof(answer), MSG_NOSIGNAL);
        close(job->fd);
        free(job->host);
        free(job);
        return NULL;
}

static int start_thread(struct job *job)
{
        sigset_t all, old;
        pthread_attr_t attributes;
        pthread_t thread;
        int r;

        r = pthread_attr_init(&attributes);
        if (r != 0)
                return -r;
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        /* The thread inherits the mask: signals stay with the event loop. */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        r = pthread_create(&thread, &attributes, resolve_thread, job);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        pthread_attr_destroy(&attributes);
        return -r;
}

static void tell(struct resolver *resolver, const struct error *error)
{
        resolver->resolved(resolver->userdata, resolver->addresses, resolver->n_addresses, error);
}

static void take_answer(struct resolver *resolver, const struct answer *answer)
{
        struct error error = {};

        if (answer->code != 0 || answer->n == 0) {
                if (resolver->n_addresses > 0)
                        return;
                error_set(&error, -EHOSTUNREACH, "%s: cannot be resolved: %s", resolver->host,
                        answer->code != 0 ? gai_strerror(answer->code) : "no address");
                tell(resolver, &error);
                return;
        }
        if (answer->n == resolver->n_addresses) {
                size_t same = 0;

                while (same < answer->n &&
                        address_equal(&answer->addresses[same], &resolver->addresses[same]))
                        same++;
                if (same == answer->n)
                        return;
        }
        memcpy(resolver->addresses, answer->addresses, sizeof(answer->addresses));
        resolver->n_addresses = answer->n;
        tell(resolver, NULL);
}

static int on_answer(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        struct resolver *resolver = userdata;
        struct answer answer = {.code = EAI_FAIL};
        ssize_t n = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n != (ssize_t)sizeof(answer))
                answer = (struct answer){.code = EAI_FAIL};
        resolver->io = sd_event_source_disable_unref(resolver->io);
        take_answer(resolver, &answer);
        return 0;
}

static struct job *job_free(struct job *job)
{
        if (!job)
                return NULL;
        closep(&job->fd);
        free(job->host);
        free(job);
        return NULL;
}
DEFINE_CLEANUP(struct job *, job_free)

static int begin(struct resolver *resolver)
{
        _cleanup_(job_freep) struct job *job = calloc(1, sizeof(*job));
        _cleanup_close_ int fd = -1;
        int pair[2], r;

        if (!job)
                return -ENOMEM;
        job->fd = -1;
        job->host = strdup(resolver->host);
        if (!job->host)
                return -ENOMEM;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        fd = pair[0];
        job->fd = pair[1];
        r = sd_event_add_io(resolver->event, &resolver->io, fd, EPOLLIN, on_answer, resolver);
        if (r < 0)
                return r;
        r = sd_event_source_set_io_fd_own(resolver->io, true);
        if (r >= 0) {
                (void)TAKE_FD(fd);
                r = start_thread(job);
        }
        if (r < 0) {
                resolver->io = sd_event_source_disable_unref(resolver->io);
                return r;
        }
        job = NULL; /* the thread's now */
        return 0;
}

static void look_up(struct resolver *resolver)
{
        const struct answer failed = {.code = EAI_SYSTEM};

        if (resolver->io)
                return;
        sd_event_now(resolver->event, CLOCK_BOOTTIME, &resolver->begun);
        if (begin(resolver) < 0)
                take_answer(resolver, &failed);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct resolver *resolver = userdata;

        if (resolver->literal) {
                tell(resolver, NULL);
                return 0;
        }
        look_up(resolver);
        if (sd_event_source_set_time_relative(resolver->timer, resolver->interval) >= 0)
                (void)sd_event_source_set_enabled(resolver->timer, SD_EVENT_ONESHOT);
        return 0;
}

int resolver_new(sd_event *event, const char *host, uint64_t interval,
        void (*resolved)(void *userdata, const struct address *addresses, size_t n,
                const struct error *error),
        void *userdata, struct resolver **ret)
{
        _cleanup_(resolver_freep) struct resolver *resolver = calloc(1, sizeof(*resolver));
        int r;

        if (!resolver)
                return -ENOMEM;
        resolver->host = strdup(host);
        if (!resolver->host)
                return -ENOMEM;
        resolver->event = sd_event_ref(event);
        resolver->interval = interval;
        resolver->resolved = resolved;
        resolver->userdata = userdata;
        if (address_parse(host, &resolver->addresses[0]) >= 0) {
                resolver->n_addresses = 1;
                resolver->literal = true;
        }
        r = sd_event_add_time_relative(
                event, &resolver->timer, CLOCK_BOOTTIME, 0, USEC_PER_MSEC, on_timer, resolver);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(resolver);
        return 0;
}

struct resolver *resolver_free(struct resolver *resolver)
{
        if (!resolver)
                return NULL;
        sd_event_source_disable_unref(resolver->timer);
        sd_event_source_disable_unref(resolver->io);
        sd_event_unref(resolver->event);
        free(resolver->host);
        free(resolver);
        return NULL;
}

void resolver_refresh(struct resolver *resolver)
{
        uint64_t now = 0;

        if (resolver->literal || resolver->io)
                return;
        sd_event_now(resolver->event, CLOCK_BOOTTIME, &now);
        if (resolver->begun > 0 && now - resolver->begun < REFRESH_MINIMUM)
                return;
        (void)sd_event_source_set_time_relative(resolver->timer, 0);
        (void)sd_event_source_set_enabled(resolver->timer, SD_EVENT_ONESHOT);
}
