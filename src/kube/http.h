/*
 * HTTP GET on the event loop, by libcurl's multi interface. HTTP/1.1, TLS 1.2 or later, never a
 * redirect, never a proxy that the credential does not name, no authority that it does not name.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "basics/error.h"
#include "basics/prefix.h"
#include "kube/credential.h"

struct http;
struct http_request;

#define HTTP_NO_RETRY_AFTER UINT64_MAX
/* Of a body that comes with another status than 200 so much is kept. */
#define HTTP_ERROR_BODY_MAX 4096

/* How a request ended; texts are borrowed from it. */
struct http_result {
        /*
         * 0: the response came whole, whatever its status. −ECONNREFUSED: no connection.
         * −ECONNRESET: the connection broke. −ETIMEDOUT. −EKEYREJECTED: the server's certificate
         * is not to be trusted. −EFBIG: too much body or header. −EIO: anything else. Or what the
         * consumer refused the body with.
         */
        int error;
        char text[256];       /* in words, when error is not 0 */
        long status;          /* 0: there was no response */
        uint64_t retry_after; /* µs from now, or HTTP_NO_RETRY_AFTER */
        bool json;            /* Content-Type is application/json */
        const char *body;     /* with a status other than 200: its beginning, NUL-terminated */
        struct address peer;  /* family 0: never connected */
};

struct http_options {
        const struct credential *credential; /* referenced while the request lives */
        const char *path;                    /* behind the server's base path, with the query */
        const struct address *addresses; /* of the server; at least one unless there is a proxy */
        size_t n_addresses;
        bool compressed;       /* let the server compress, if the credential allows it */
        bool fresh;            /* on a new connection */
        uint64_t timeout;      /* µs for the whole request; 0: none */
        uint64_t body_maximum; /* decompressed bytes; 0: no limit */
        /* The headers of the final response are there; may be NULL. As data(), from inside libcurl.
         */
        void (*head)(void *userdata, long status);
        /*
         * The body of a 200, as it comes. Negative refuses it and ends the request with that code.
         * Called from inside libcurl: it must not call any function of this header.
         */
        int (*data)(void *userdata, const char *data, size_t size);
        /* Once, at the end; the request may be freed in it. Never from within http_get(). */
        void (*done)(void *userdata, const struct http_result *result);
        void *userdata;
};

/* −ENOMEM, −EIO (libcurl), or what the event loop said. */
int http_new(sd_event *event, struct http **ret);
/* Every request must have been freed before. */
struct http *http_free(struct http *http);
DEFINE_CLEANUP(struct http *, http_free)

/* Requests begun after this use none of the connections there are. */
void http_forget_connections(struct http *http);

int http_get(struct http *http, const struct http_options *options, struct http_request **ret);
/* Ends the request if it runs; done() is not called. Not from within data(). Returns NULL. */
struct http_request *http_request_free(struct http_request *request);
