/*
 * What http.c (requests), http_setup.c (their options) and http_loop.c (libcurl's multi interface
 * on the event loop) share.
 */
#pragma once

#include <curl/curl.h>

#include "kube/http.h"

struct http_request {
        struct http *http;
        struct http_request *next, *previous;
        CURL *easy;
        const struct credential *credential; /* referenced: libcurl reads its blobs */
        struct curl_slist *headers, *resolve, *connect_to;
        char *url;
        void (*head)(void *userdata, long status);
        int (*data)(void *userdata, const char *data, size_t size);
        void (*done)(void *userdata, const struct http_result *result);
        void *userdata;

        uint64_t body_maximum, body_size;
        size_t header_size;
        int refused; /* why a callback ended the transfer; 0: it did not */
        bool fresh, headed;

        bool added, finished;
        CURLcode code; /* valid when finished */
        struct http_result result;
        char error_body[HTTP_ERROR_BODY_MAX + 1];
        size_t error_body_size;
        char error_text[CURL_ERROR_SIZE]; /* libcurl writes here as long as the handle lives */
};

struct http_socket;

struct http {
        sd_event *event;
        CURLM *multi;
        sd_event_source *timer;
        struct http_socket *sockets;
        struct http_request *requests;
        bool stale; /* the connections there are must not be used again */
};

/* Makes http->multi anew; the old one must be gone. */
int http_loop_open(struct http *http);
/* Closes every connection. */
void http_loop_close(struct http *http);

/* Called by the loop when libcurl has ended the request: fills result, calls done(). */
void http_request_finish(struct http_request *request);

/* Gives the easy handle its options. −ENOMEM, −EIO. */
int http_request_prepare(struct http_request *request, const struct http_options *options);
/* libcurl's callbacks for body and header lines; userdata is the request. */
size_t http_on_body(char *data, size_t one, size_t size, void *userdata);
size_t http_on_header(char *data, size_t one, size_t size, void *userdata);
