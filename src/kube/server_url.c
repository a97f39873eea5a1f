#include "kube/server_url.h"

#include <ctype.h>
#include <curl/curl.h>
#include <string.h>

#include "basics/text.h"

#define URL_MAX 2048

DEFINE_CLEANUP(CURLU *, curl_url_cleanup)

static int get_part(CURLU *url, CURLUPart part, char **ret)
{
        char *value = NULL;
        CURLUcode code =
                curl_url_get(url, part, &value, part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0);
        int r;

        if (code == CURLUE_OUT_OF_MEMORY)
                return -ENOMEM;
        if (code != CURLUE_OK)
                return 0;
        r = text_replace(ret, value);
        curl_free(value);
        return r;
}

static bool has_part(CURLU *url, CURLUPart part)
{
        char *value = NULL;

        if (curl_url_get(url, part, &value, 0) != CURLUE_OK)
                return false;
        curl_free(value);
        return true;
}

static int take_host(const char *host, char **ret)
{
        size_t length = strlen(host);
        bool literal = host[0] == '[';

        if (literal) {
                if (length < 3 || host[length - 1] != ']')
                        return -EINVAL;
                host++;
                length -= 2;
        }
        for (size_t i = 0; i < length; i++)
                if (!isalnum((unsigned char)host[i]) && !strchr(literal ? ":." : "-._", host[i]))
                        return -EINVAL;
        if (length == 0 || length > 253)
                return -EINVAL;
        *ret = strndup(host, length);
        return *ret ? 0 : -ENOMEM;
}

static int take_parts(CURLU *url, struct server_url *parsed)
{
        _cleanup_free_ char *scheme = NULL, *host = NULL, *port = NULL;
        uint64_t number;
        size_t length;
        int r;

        r = get_part(url, CURLUPART_SCHEME, &scheme);
        if (r >= 0)
                r = get_part(url, CURLUPART_HOST, &host);
        if (r >= 0)
                r = get_part(url, CURLUPART_PORT, &port);
        if (r >= 0)
                r = get_part(url, CURLUPART_PATH, &parsed->base_path);
        if (r < 0)
                return r;
        if (!scheme || !host || !port || !parsed->base_path ||
                text_to_uint(port, UINT16_MAX, &number) < 0 || number == 0)
                return -EINVAL;
        if (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)
                return -EINVAL;
        parsed->tls = strcmp(scheme, "https") == 0;
        parsed->port = (uint16_t)number;
        length = strlen(parsed->base_path);
        while (length > 0 && parsed->base_path[length - 1] == '/')
                parsed->base_path[--length] = '\0';
        return take_host(host, &parsed->host);
}

static struct server_url server_url_take(struct server_url *url)
{
        struct server_url taken = *url;

        *url = (struct server_url){};
        return taken;
}

int server_url_parse(const char *text, struct server_url *ret, struct error *error)
{
        _cleanup_(server_url_deinit) struct server_url parsed = {};
        _cleanup_(curl_url_cleanupp) CURLU *url = curl_url();
        int r;

        if (!url || text_replace(&parsed.text, text) < 0)
                return -ENOMEM;
        if (strlen(text) > URL_MAX)
                return error_set(error, -EINVAL, "longer than %d characters", URL_MAX);
        if (curl_url_set(url, CURLUPART_URL, text,
                    CURLU_DEFAULT_SCHEME | CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
                return error_set(error, -EINVAL, "not a URL");
        /* Not quoted in the error: a password may stand in it. */
        if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
                return error_set(error, -EINVAL, "a URL with a user name in it");
        if (has_part(url, CURLUPART_ZONEID))
                return error_set(error, -EINVAL, "a URL with a zone in its address");
        if (has_part(url, CURLUPART_QUERY) || has_part(url, CURLUPART_FRAGMENT))
                return error_set(error, -EINVAL, "a URL with a query or a fragment");
        r = take_parts(url, &parsed);
        if (r == -EINVAL)
                return error_set(error, r, "\"%.200s\" is not https://HOST[:PORT][/PATH]", text);
        if (r < 0)
                return r;
        *ret = server_url_take(&parsed);
        return 0;
}

int server_url_copy(const struct server_url *url, struct server_url *ret)
{
        _cleanup_(server_url_deinit) struct server_url copy = {.tls = url->tls, .port = url->port};

        if (text_replace(&copy.text, url->text) < 0 || text_replace(&copy.host, url->host) < 0 ||
                text_replace(&copy.base_path, url->base_path) < 0)
                return -ENOMEM;
        *ret = server_url_take(&copy);
        return 0;
}

void server_url_deinit(struct server_url *url)
{
        free(url->text);
        free(url->host);
        free(url->base_path);
        *url = (struct server_url){};
}
