/*
 * libcurl's multi interface on sd-event, after systemd's src/shared/curl-util.c. The rule that
 * keeps it right: libcurl's callbacks only note what it wants; every call into libcurl comes from
 * the event loop.
 */
#include <sys/epoll.h>

#include "kube/http_internal.h"

/* A socket that libcurl wants to hear of. */
struct http_socket {
        struct http_socket *next;
        int fd;
        sd_event_source *source;
};

/* Behind netlink (−100) and applying (−50), before bus and metrics. */
#define PRIORITY_HTTP 0

/* µs; 0 would mean sd-event's default of 250 ms, which every step of a connection would wait for.
 */
#define TIMER_ACCURACY 1000

/*
 * First everything that ended is taken from libcurl's queue, then handles are removed, then done()
 * is called: removing a handle invalidates the queue's messages, and done() may begin or free any
 * request.
 */
static void dispatch_finished(struct http *http)
{
        struct http_request *request;
        CURLMsg *message;
        int left;

        while ((message = curl_multi_info_read(http->multi, &left))) {
                if (message->msg != CURLMSG_DONE)
                        continue;
                request = NULL;
                curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request);
                request->code = message->data.result;
                request->finished = true;
        }
        for (;;) {
                for (request = http->requests; request; request = request->next)
                        if (request->finished && request->added)
                                break;
                if (!request)
                        return;
                curl_multi_remove_handle(http->multi, request->easy);
                request->added = false;
                http_request_finish(request);
        }
}

static void socket_action(struct http *http, curl_socket_t fd, int events)
{
        int running;

        curl_multi_socket_action(http->multi, fd, events, &running);
        dispatch_finished(http);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        int events = 0;

        if (revents & (EPOLLIN | EPOLLPRI | EPOLLRDHUP))
                events |= CURL_CSELECT_IN;
        if (revents & EPOLLOUT)
                events |= CURL_CSELECT_OUT;
        if (revents & (EPOLLERR | EPOLLHUP))
                events |= CURL_CSELECT_ERR;
        socket_action(userdata, fd, events);
        return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        socket_action(userdata, CURL_SOCKET_TIMEOUT, 0);
        return 0;
}

static struct http_socket **find_socket(struct http *http, int fd)
{
        struct http_socket **at = &http->sockets;

        while (*at && (*at)->fd != fd)
                at = &(*at)->next;
        return at;
}

static void drop_socket(struct http_socket **at)
{
        struct http_socket *socket = *at;

        if (!socket)
                return;
        *at = socket->next;
        sd_event_source_disable_unref(socket->source);
        free(socket);
}

static int watch_socket(struct http *http, int fd, uint32_t events)
{
        struct http_socket **at = find_socket(http, fd), *socket = *at;
        int r;

        if (socket) {
                if (sd_event_source_set_io_events(socket->source, events) >= 0)
                        return 0;
                /* The number may stand for another socket by now. */
                drop_socket(at);
        }
        socket = calloc(1, sizeof(*socket));
        if (!socket)
                return -ENOMEM;
        r = sd_event_add_io(http->event, &socket->source, fd, events, on_io, http);
        if (r < 0) {
                free(socket);
                return r;
        }
        (void)sd_event_source_set_priority(socket->source, PRIORITY_HTTP);
        socket->fd = fd;
        socket->next = http->sockets;
        http->sockets = socket;
        return 0;
}

/* CURLMOPT_SOCKETFUNCTION. A failure here would fail every transfer; their time limits do it alone.
 */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *socket)
{
        struct http *http = userdata;
        uint32_t events = 0;

        if (what == CURL_POLL_REMOVE) {
                drop_socket(find_socket(http, fd));
                return 0;
        }
        if (what & CURL_POLL_IN)
                events |= EPOLLIN;
        if (what & CURL_POLL_OUT)
                events |= EPOLLOUT;
        (void)watch_socket(http, fd, events);
        return 0;
}

/* CURLMOPT_TIMERFUNCTION. Also 0 ms goes by the loop: libcurl must not be called from here. */
static int on_set_timer(CURLM *multi, long milliseconds, void *userdata)
{
        struct http *http = userdata;

        if (milliseconds < 0)
                return sd_event_source_set_enabled(http->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
        if (sd_event_source_set_time_relative(http->timer, (uint64_t)milliseconds * 1000) < 0)
                return -1;
        return sd_event_source_set_enabled(http->timer, SD_EVENT_ONESHOT) < 0 ? -1 : 0;
}

int http_loop_open(struct http *http)
{
        int r;

        if (!http->timer) {
                r = sd_event_add_time_relative(http->event, &http->timer, CLOCK_MONOTONIC, 0,
                        TIMER_ACCURACY, on_timer, http);
                if (r < 0)
                        return r;
                (void)sd_event_source_set_priority(http->timer, PRIORITY_HTTP);
        }
        (void)sd_event_source_set_enabled(http->timer, SD_EVENT_OFF);
        http->multi = curl_multi_init();
        if (!http->multi)
                return -ENOMEM;
        if (curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket) != CURLM_OK ||
                curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http) != CURLM_OK ||
                curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_set_timer) != CURLM_OK ||
                curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http) != CURLM_OK)
                return -EIO;
        http->stale = false;
        return 0;
}

void http_loop_close(struct http *http)
{
        if (http->multi)
                curl_multi_cleanup(http->multi);
        http->multi = NULL;
        while (http->sockets)
                drop_socket(&http->sockets);
}
