#include "kube/http_internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "basics/backoff.h"
#include "basics/text.h"

#define HEADERS_MAX       ((size_t)64 * 1024)
#define RETRY_AFTER_MAX_S 86400u

DEFINE_CLEANUP(struct http_request *, http_request_free)

int http_new(sd_event *event, struct http **ret)
{
        _cleanup_(http_freep) struct http *http = calloc(1, sizeof(*http));
        int r;

        if (!http)
                return -ENOMEM;
        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return -EIO;
        http->event = sd_event_ref(event);
        r = http_loop_open(http);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(http);
        return 0;
}

struct http *http_free(struct http *http)
{
        if (!http)
                return NULL;
        http_loop_close(http);
        sd_event_source_disable_unref(http->timer);
        sd_event_unref(http->event);
        free(http);
        return NULL;
}

void http_forget_connections(struct http *http)
{
        http->stale = true;
}

/* libcurl has no way to empty its pool but to give up the multi handle: possible when it is idle.
 */
static int renew_connections(struct http *http)
{
        if (!http->stale || http->requests)
                return 0;
        http_loop_close(http);
        return http_loop_open(http);
}

static void keep_error_body(struct http_request *request, const char *data, size_t size)
{
        size_t room = HTTP_ERROR_BODY_MAX - request->error_body_size;

        if (size > room)
                size = room;
        memcpy(request->error_body + request->error_body_size, data, size);
        request->error_body_size += size;
}

/* CURLOPT_WRITEFUNCTION; returning less than came ends the transfer. */
size_t http_on_body(char *data, size_t one, size_t size, void *userdata)
{
        struct http_request *request = userdata;
        long status = 0;
        int r;

        request->body_size += size;
        if (request->body_maximum > 0 && request->body_size > request->body_maximum) {
                request->refused = -EFBIG;
                return 0;
        }
        curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
        if (status != 200) {
                keep_error_body(request, data, size);
                return size;
        }
        r = request->data(request->userdata, data, size);
        if (r < 0) {
                request->refused = r;
                return 0;
        }
        return size;
}

/* RFC 9110, 10.2.3: seconds, or a date. */
static uint64_t parse_retry_after(const char *value)
{
        uint64_t seconds;
        time_t at, now;

        if (text_to_uint(value, UINT64_MAX, &seconds) < 0) {
                at = curl_getdate(value, NULL);
                if (at == (time_t)-1)
                        return HTTP_NO_RETRY_AFTER;
                now = time(NULL);
                seconds = at > now ? (uint64_t)(at - now) : 0;
        }
        return (seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * USEC_PER_SEC;
}

/* The value of a header line if it is that header, trimmed, in `buffer`. */
static const char *header_value(
        const char *line, size_t size, const char *name, char *buffer, size_t room)
{
        size_t skip = strlen(name);

        if (size <= skip || strncasecmp(line, name, skip) != 0 || line[skip] != ':')
                return NULL;
        line += skip + 1;
        size -= skip + 1;
        while (size > 0 && (*line == ' ' || *line == '\t')) {
                line++;
                size--;
        }
        while (size > 0 && strchr(" \t\r\n", line[size - 1]))
                size--;
        if (size >= room)
                return NULL;
        memcpy(buffer, line, size);
        buffer[size] = '\0';
        return buffer;
}

/* An empty line ends the headers: of a 1xx response, the final one, or the trailers. */
static void end_of_headers(struct http_request *request)
{
        long status = 0;

        curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
        if (status >= 200 && request->head && !request->headed)
                request->head(request->userdata, status);
        request->headed = status >= 200;
}

/* CURLOPT_HEADERFUNCTION. */
size_t http_on_header(char *data, size_t one, size_t size, void *userdata)
{
        struct http_request *request = userdata;
        char buffer[128];
        const char *value;

        request->header_size += size;
        if (request->header_size > HEADERS_MAX) {
                request->refused = -EFBIG;
                return 0;
        }
        if (size <= 2 && (data[0] == '\r' || data[0] == '\n'))
                end_of_headers(request);
        value = header_value(data, size, "Retry-After", buffer, sizeof(buffer));
        if (value)
                request->result.retry_after = parse_retry_after(value);
        value = header_value(data, size, "Content-Type", buffer, sizeof(buffer));
        if (value)
                request->result.json = strncasecmp(value, "application/json", 16) == 0;
        return size;
}

static void link_request(struct http *http, struct http_request *request)
{
        request->http = http;
        request->next = http->requests;
        if (request->next)
                request->next->previous = request;
        http->requests = request;
}

static void unlink_request(struct http_request *request)
{
        if (!request->http)
                return;
        if (request->previous)
                request->previous->next = request->next;
        else
                request->http->requests = request->next;
        if (request->next)
                request->next->previous = request->previous;
}

int http_get(struct http *http, const struct http_options *options, struct http_request **ret)
{
        _cleanup_(http_request_freep) struct http_request *request = NULL;
        int r;

        r = renew_connections(http);
        if (r < 0)
                return r;
        request = calloc(1, sizeof(*request));
        if (!request)
                return -ENOMEM;
        request->credential = credential_ref(options->credential);
        request->head = options->head;
        request->data = options->data;
        request->done = options->done;
        request->userdata = options->userdata;
        request->body_maximum = options->body_maximum;
        request->fresh = options->fresh || http->stale;
        request->result.retry_after = HTTP_NO_RETRY_AFTER;

        request->easy = curl_easy_init();
        if (!request->easy)
                return -ENOMEM;
        r = http_request_prepare(request, options);
        if (r < 0)
                return r;
        link_request(http, request);
        if (curl_multi_add_handle(http->multi, request->easy) != CURLM_OK)
                return -EIO;
        request->added = true;
        *ret = TAKE_PTR(request);
        return 0;
}

struct http_request *http_request_free(struct http_request *request)
{
        if (!request)
                return NULL;
        if (request->added)
                curl_multi_remove_handle(request->http->multi, request->easy);
        unlink_request(request);
        if (request->easy)
                curl_easy_cleanup(request->easy);
        for (struct curl_slist *line = request->headers; line; line = line->next)
                explicit_bzero(line->data, strlen(line->data)); /* the token */
        curl_slist_free_all(request->headers);
        curl_slist_free_all(request->resolve);
        curl_slist_free_all(request->connect_to);
        free(request->url);
        credential_unref(request->credential);
        free(request);
        return NULL;
}

static int error_of(CURLcode code)
{
        switch (code) {
        case CURLE_OK: return 0;
        case CURLE_COULDNT_CONNECT:
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_RESOLVE_PROXY: return -ECONNREFUSED;
        case CURLE_OPERATION_TIMEDOUT: return -ETIMEDOUT;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_ISSUER_ERROR: return -EKEYREJECTED;
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_GOT_NOTHING:
        case CURLE_PARTIAL_FILE:
        case CURLE_SEND_ERROR:
        case CURLE_RECV_ERROR: return -ECONNRESET;
        case CURLE_OUT_OF_MEMORY: return -ENOMEM;
        default: return -EIO;
        }
}

/* Takes out how long it took ("after 39 ms"): the same failure is the same text. */
static void drop_duration(char *text)
{
        for (char *at = text; (at = strstr(at, " after "));) {
                char *unit = at + strlen(" after ");
                size_t digits = strspn(unit, "0123456789");
                size_t rest =
                        digits > 0 && unit[digits] == ' ' ? strcspn(unit + digits + 1, " :") : 0;

                if (rest > 0 && unit[digits + 1] == 'm')
                        memmove(at, unit + digits + 1 + rest, strlen(unit + digits + 1 + rest) + 1);
                else
                        at = unit;
        }
}

void http_request_finish(struct http_request *request)
{
        struct http_result *result = &request->result;
        const char *peer = NULL;

        result->error = request->refused < 0 ? request->refused : error_of(request->code);
        if (result->error < 0)
                snprintf(result->text, sizeof(result->text), "%.200s",
                        request->refused < 0     ? strerror(-request->refused)
                        : request->error_text[0] ? request->error_text
                                                 : curl_easy_strerror(request->code));
        drop_duration(result->text);
        curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &result->status);
        curl_easy_getinfo(request->easy, CURLINFO_PRIMARY_IP, &peer);
        if (peer && *peer)
                (void)address_parse(peer, &result->peer);
        request->error_body[request->error_body_size] = '\0';
        result->body = request->error_body;
        request->done(request->userdata, result);
}
