/*
 * What a request asks of libcurl: where to, as whom, trusting whom, with which limits.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "basics/backoff.h"
#include "basics/text.h"
#include "kube/http_internal.h"

#define USER_AGENT          "nodecryptor/" NODECRYPTOR_VERSION
#define CONNECT_TIMEOUT_MS  10000L
#define KEEPALIVE_IDLE_S    30L
#define KEEPALIVE_EVERY_S   10L
#define TCP_USER_TIMEOUT_MS 60000u

/* CURLOPT_SOCKOPTFUNCTION: libcurl has no option for it. */
static int on_socket_made(void *userdata, curl_socket_t fd, curlsocktype purpose)
{
        unsigned timeout = TCP_USER_TIMEOUT_MS;

        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
        return CURL_SOCKOPT_OK;
}

static int add_line(struct curl_slist **list, const char *format, ...) _printf_(2, 3);

static int add_line(struct curl_slist **list, const char *format, ...)
{
        _cleanup_(secret_freep) char *line = NULL;
        struct curl_slist *longer;
        va_list arguments;
        int n;

        va_start(arguments, format);
        n = vasprintf(&line, format, arguments);
        va_end(arguments);
        if (n < 0) {
                line = NULL;
                return -ENOMEM;
        }
        longer = curl_slist_append(*list, line);
        if (!longer)
                return -ENOMEM;
        *list = longer;
        return 0;
}

/* "[fd00::1]" or "name". */
static int bracketed(const char *host, char **ret)
{
        bool literal = strchr(host, ':');

        if (asprintf(ret, literal ? "[%s]" : "%s", host) < 0) {
                *ret = NULL;
                return -ENOMEM;
        }
        return 0;
}

static bool is_literal(const char *host)
{
        struct address address;

        return address_parse(host, &address) >= 0;
}

/* The addresses that the caller found, so that libcurl never asks a name server itself. */
static int add_addresses(struct http_request *request, const struct http_options *options)
{
        const struct server_url *server = &options->credential->server;
        _cleanup_(text_deinit) struct text_builder line = {};
        _cleanup_free_ char *text = NULL;
        int r;

        if (options->n_addresses == 0 || is_literal(server->host))
                return 0;
        text_append(&line, "%s:%u:", server->host, server->port);
        for (size_t i = 0; i < options->n_addresses; i++) {
                const struct address *address = &options->addresses[i];
                char buffer[ADDRESS_TEXT_MAX];

                text_append(&line, address->family == AF_INET6 ? "%s[%s]" : "%s%s",
                        i > 0 ? "," : "", address_format(address, buffer));
        }
        r = text_take(&line, &text);
        return r < 0 ? r : add_line(&request->resolve, "%s", text);
}

/*
 * With a tls-server-name that name stands in the URL, for SNI and verification, while the Host
 * header and the connection are the real server's.
 */
static int prepare_target(struct http_request *request, const struct http_options *options)
{
        const struct credential *credential = options->credential;
        const struct server_url *server = &credential->server;
        const char *name = credential->tls_server_name ? credential->tls_server_name : server->host;
        _cleanup_free_ char *host = NULL, *shown = NULL;
        int r;

        r = bracketed(server->host, &host);
        if (r >= 0)
                r = bracketed(name, &shown);
        if (r < 0)
                return r;
        if (asprintf(&request->url, "%s://%s:%u%s%s", server->tls ? "https" : "http", shown,
                    server->port, server->base_path, options->path) < 0) {
                request->url = NULL;
                return -ENOMEM;
        }
        if (credential->tls_server_name) {
                r = add_line(&request->headers, "Host: %s:%u", host, server->port);
                if (r >= 0)
                        r = add_line(&request->connect_to, "%s:%u:%s:%u", shown, server->port, host,
                                server->port);
        }
        if (r >= 0 && !credential->proxy_url)
                r = add_addresses(request, options);
        return r;
}

static int prepare_headers(struct http_request *request, const struct http_options *options)
{
        int r = add_line(&request->headers, "Accept: application/json");

        if (r >= 0 && options->credential->token)
                r = add_line(
                        &request->headers, "Authorization: Bearer %s", options->credential->token);
        return r;
}

/* The options that take a long, a text or a function, in one list; any failure is −EIO. */
#define SET(option, value)                                                 \
        do {                                                               \
                if (curl_easy_setopt(easy, (option), (value)) != CURLE_OK) \
                        return -EIO;                                       \
        } while (0)

static int set_blob(CURL *easy, CURLoption option, const struct blob *blob)
{
        struct curl_blob value = {
                .data = blob->data,
                .len = blob->size,
                .flags = CURL_BLOB_NOCOPY, /* the credential outlives the request */
        };

        if (!blob->data)
                return 0;
        SET(option, &value);
        return 0;
}

static int set_tls(CURL *easy, const struct credential *credential)
{
        int r;

        SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
        SET(CURLOPT_SSL_VERIFYPEER, credential->insecure_skip_tls_verify ? 0L : 1L);
        SET(CURLOPT_SSL_VERIFYHOST, credential->insecure_skip_tls_verify ? 0L : 2L);
        if (credential->ca.data) {
                /* The blob alone would leave the system's folder of authorities in force. */
                SET(CURLOPT_CAPATH, NULL);
                SET(CURLOPT_CAINFO, NULL);
        }
        r = set_blob(easy, CURLOPT_CAINFO_BLOB, &credential->ca);
        if (r >= 0)
                r = set_blob(easy, CURLOPT_SSLCERT_BLOB, &credential->certificate);
        if (r >= 0)
                r = set_blob(easy, CURLOPT_SSLKEY_BLOB, &credential->key);
        return r;
}

static int set_connection(
        CURL *easy, const struct http_request *request, const struct http_options *options)
{
        const struct credential *credential = options->credential;
        const char *protocol = credential->server.tls ? "https" : "http";

        SET(CURLOPT_URL, request->url);
        SET(CURLOPT_PROTOCOLS_STR, protocol);
        SET(CURLOPT_FOLLOWLOCATION, 0L);
        /* Both given, or libcurl would ask the environment. */
        SET(CURLOPT_PROXY, credential->proxy_url ? credential->proxy_url : "");
        SET(CURLOPT_NOPROXY, "");
        SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
        SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        SET(CURLOPT_NOSIGNAL, 1L);
        SET(CURLOPT_FRESH_CONNECT, request->fresh ? 1L : 0L);
        SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
        SET(CURLOPT_TIMEOUT_MS, (long)(options->timeout / USEC_PER_MSEC));
        SET(CURLOPT_TCP_KEEPALIVE, 1L);
        SET(CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
        SET(CURLOPT_TCP_KEEPINTVL, KEEPALIVE_EVERY_S);
        SET(CURLOPT_SOCKOPTFUNCTION, on_socket_made);
        SET(CURLOPT_RESOLVE, request->resolve);
        SET(CURLOPT_CONNECT_TO, request->connect_to);
        return set_tls(easy, credential);
}

static int set_options(CURL *easy, struct http_request *request, const struct http_options *options)
{
        SET(CURLOPT_PRIVATE, request);
        SET(CURLOPT_ERRORBUFFER, request->error_text);
        SET(CURLOPT_USERAGENT, USER_AGENT);
        SET(CURLOPT_HTTPHEADER, request->headers);
        if (options->compressed && !options->credential->disable_compression)
                SET(CURLOPT_ACCEPT_ENCODING, "gzip");
        SET(CURLOPT_WRITEFUNCTION, http_on_body);
        SET(CURLOPT_WRITEDATA, request);
        SET(CURLOPT_HEADERFUNCTION, http_on_header);
        SET(CURLOPT_HEADERDATA, request);
        return set_connection(easy, request, options);
}

int http_request_prepare(struct http_request *request, const struct http_options *options)
{
        int r = prepare_target(request, options);

        if (r >= 0)
                r = prepare_headers(request, options);
        if (r >= 0)
                r = set_options(request->easy, request, options);
        return r;
}
