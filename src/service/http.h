/*
 * A small HTTP server (libmicrohttpd) on the sd-event loop, without threads, for answers that are
 * made at once from memory. GET and HEAD only: other methods get 405, unknown paths 404. At most
 * HTTP_CONNECTIONS_MAX connections, HTTP_TIMEOUT seconds of silence each, a few KiB of memory each;
 * what a request carries besides method and path is never looked at.
 */
#pragma once

#include <systemd/sd-event.h>

#include "basics/error.h"
#include "model/settings.h"

#define HTTP_CONNECTIONS_MAX 64
#define HTTP_TIMEOUT         10 /* s */

/* What a handler answers: fresh memory for `body`, a literal for `content_type`. */
struct http_answer {
        unsigned status;
        const char *content_type;
        char *body;
};

struct http_server;

/*
 * Listens at once. *handler is called with the path of each request (the query cut off) and fills
 * the answer: 0, or −ENOENT for a path it does not know; anything else is answered by a 500.
 *
 * The address need not exist yet (IP_FREEBIND): the daemon starts before the network. Family 0
 * means every address of both families, or of IPv4 when the kernel has no IPv6.
 *
 * −EADDRINUSE and the like, the text naming the address; −EINVAL: port 0. Holds a reference to the
 * loop.
 */
int http_server_new(sd_event *event, const struct listen *where,
        int (*handler)(const char *path, struct http_answer *ret, void *userdata), void *userdata,
        struct http_server **ret, struct error *error);
/* Drops the connections that are open; returns NULL. Not to be called inside the handler. */
struct http_server *http_server_free(struct http_server *server);
DEFINE_CLEANUP(struct http_server *, http_server_free)

/* The port listened at, also when the kernel chose it. */
uint16_t http_server_port(const struct http_server *server);
