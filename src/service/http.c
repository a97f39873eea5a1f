#include "service/http.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "basics/text.h"

#define BACKLOG          16
#define CONNECTION_BYTES (16 * 1024)
#define PRIORITY         100 /* after everything that matters to the policy */

struct http_server {
        sd_event_source *io;
        sd_event_source *timer;
        struct MHD_Daemon *daemon;
        uint16_t port;
        int (*handler)(const char *path, struct http_answer *ret, void *userdata);
        void *userdata;
};

/* The address of the socket; its size. */
static socklen_t fill_address(const struct listen *where, int family, struct sockaddr_storage *ret)
{
        struct sockaddr_in *in = (struct sockaddr_in *)ret;
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

        memset(ret, 0, sizeof(*ret));
        if (family == AF_INET) {
                in->sin_family = AF_INET;
                in->sin_port = htons(where->port);
                memcpy(&in->sin_addr, where->address.bytes, 4);
                return sizeof(*in);
        }
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(where->port);
        memcpy(&in6->sin6_addr, where->address.bytes, 16);
        return sizeof(*in6);
}

static int set_option(int fd, int level, int name, int value)
{
        return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int set_socket_options(int fd, int family, bool dual_stack)
{
        int r = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);

        /* Of both families: a socket of IPv6 heeds IP_FREEBIND, too (since Linux 2.4). */
        if (r >= 0)
                r = set_option(fd, IPPROTO_IP, IP_FREEBIND, 1);
        if (r >= 0 && family == AF_INET6)
                r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !dual_stack);
        return r;
}

static int open_socket(const struct listen *where, int family, int *ret)
{
        _cleanup_close_ int fd = -1;
        struct sockaddr_storage address;
        socklen_t size = fill_address(where, family, &address);
        int r;

        fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        r = set_socket_options(fd, family, where->address.family == 0);
        if (r < 0)
                return r;
        if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, BACKLOG) < 0)
                return -errno;
        *ret = TAKE_FD(fd);
        return 0;
}

static int open_listener(const struct listen *where, int *ret)
{
        int r;

        if (where->port == 0)
                return -EINVAL;
        if (where->address.family != 0)
                return open_socket(where, where->address.family, ret);
        r = open_socket(where, AF_INET6, ret);
        return r == -EAFNOSUPPORT ? open_socket(where, AF_INET, ret) : r;
}

/* Hands the body over to libmicrohttpd in every case. */
static enum MHD_Result queue(struct MHD_Connection *connection, struct http_answer *answer)
{
        enum MHD_Result result;
        struct MHD_Response *response;

        response = MHD_create_response_from_buffer(
                strlen(answer->body), answer->body, MHD_RESPMEM_MUST_FREE);
        if (!response) {
                free(answer->body);
                return MHD_NO;
        }
        if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type) !=
                        MHD_YES ||
                MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") !=
                        MHD_YES ||
                (answer->status == MHD_HTTP_METHOD_NOT_ALLOWED &&
                        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") !=
                                MHD_YES))
                result = MHD_NO;
        else
                result = MHD_queue_response(connection, answer->status, response);
        MHD_destroy_response(response);
        return result;
}

static void set_plain(struct http_answer *answer, unsigned status, const char *text)
{
        *answer = (struct http_answer){
                .status = status,
                .content_type = "text/plain; charset=utf-8",
                .body = strdup(text),
        };
}

/* libmicrohttpd's access handler: the answer is ready before any body of the request is read. */
static enum MHD_Result on_request(void *userdata, struct MHD_Connection *connection,
        const char *url, const char *method, const char *version, const char *upload,
        size_t *upload_size, void **context)
{
        struct http_server *server = userdata;
        struct http_answer answer = {};
        int r;

        if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
                set_plain(&answer, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD only\n");
        } else {
                r = server->handler(url, &answer, server->userdata);
                if (r == -ENOENT)
                        set_plain(&answer, MHD_HTTP_NOT_FOUND, "no such path\n");
                else if (r < 0)
                        set_plain(&answer, MHD_HTTP_INTERNAL_SERVER_ERROR, "internal error\n");
        }
        if (!answer.body)
                return MHD_NO;
        return queue(connection, &answer);
}

static unsigned count_connections(struct http_server *server)
{
        const union MHD_DaemonInfo *info =
                MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

        return info ? info->num_connections : 0;
}

/*
 * Lets libmicrohttpd work off what has happened. At its connection limit it takes the listening
 * socket out of its epoll set, and puts it back only at the begin of a run: after one in which
 * connections ended another one is due, or nobody would be let in any more (0.9.75).
 */
static int work_off(struct http_server *server)
{
        unsigned before;

        do {
                before = count_connections(server);
                if (MHD_run(server->daemon) != MHD_YES)
                        return -EIO;
        } while (count_connections(server) < before);
        return 0;
}

/* Works off, and sets the timer to when libmicrohttpd wants to be called again. */
static int run(struct http_server *server)
{
        MHD_UNSIGNED_LONG_LONG timeout; /* ms */
        int r = work_off(server);

        if (r < 0)
                return r;
        if (MHD_get_timeout(server->daemon, &timeout) != MHD_YES)
                return sd_event_source_set_enabled(server->timer, SD_EVENT_OFF);
        r = sd_event_source_set_time_relative(server->timer, (uint64_t)timeout * 1000);
        return r < 0 ? r : sd_event_source_set_enabled(server->timer, SD_EVENT_ONESHOT);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        return run(userdata);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        return run(userdata);
}

static int start_daemon(struct http_server *server, int *fd)
{
        server->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, server,
                MHD_OPTION_LISTEN_SOCKET, *fd, MHD_OPTION_CONNECTION_LIMIT,
                (unsigned)HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                (unsigned)HTTP_TIMEOUT, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                (size_t)CONNECTION_BYTES, MHD_OPTION_END);
        if (!server->daemon)
                return -EIO;
        TAKE_FD(*fd);
        return 0;
}

static int attach(struct http_server *server, sd_event *event)
{
        const union MHD_DaemonInfo *info =
                MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
        int r;

        if (!info)
                return -EOPNOTSUPP;
        r = sd_event_add_time_relative(
                event, &server->timer, CLOCK_MONOTONIC, 0, 0, on_timer, server);
        if (r >= 0)
                r = sd_event_add_io(event, &server->io, info->epoll_fd, EPOLLIN, on_io, server);
        if (r >= 0)
                r = sd_event_source_set_priority(server->timer, PRIORITY);
        if (r >= 0)
                r = sd_event_source_set_priority(server->io, PRIORITY);
        return r < 0 ? r : 0;
}

static uint16_t port_of(int fd)
{
        struct sockaddr_in6 address = {};
        socklen_t size = sizeof(address);

        if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
                return 0;
        /* Family and port lie at the same place in both families' addresses. */
        return ntohs(address.sin6_port);
}

static int explain(const struct listen *where, int code, struct error *error)
{
        struct text_builder text = {};

        listen_format(where, &text);
        error_set(error, code, "cannot listen at %s: %s", text.text ? text.text : "port 0",
                strerror(-code));
        text_deinit(&text);
        return code;
}

int http_server_new(sd_event *event, const struct listen *where,
        int (*handler)(const char *path, struct http_answer *ret, void *userdata), void *userdata,
        struct http_server **ret, struct error *error)
{
        _cleanup_(http_server_freep) struct http_server *server = calloc(1, sizeof(*server));
        _cleanup_close_ int fd = -1;
        int r;

        if (!server)
                return error_set(error, -ENOMEM, "out of memory");
        server->handler = handler;
        server->userdata = userdata;
        r = open_listener(where, &fd);
        if (r >= 0) {
                server->port = port_of(fd);
                r = start_daemon(server, &fd);
        }
        if (r >= 0)
                r = attach(server, event);
        if (r < 0)
                return explain(where, r, error);
        *ret = TAKE_PTR(server);
        return 0;
}

struct http_server *http_server_free(struct http_server *server)
{
        if (!server)
                return NULL;
        /* The loop lets go of libmicrohttpd's epoll descriptor before it is closed. */
        sd_event_source_disable_unref(server->io);
        sd_event_source_disable_unref(server->timer);
        if (server->daemon)
                MHD_stop_daemon(server->daemon);
        free(server);
        return NULL;
}

uint16_t http_server_port(const struct http_server *server)
{
        return server->port;
}
