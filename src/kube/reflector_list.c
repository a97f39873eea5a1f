/*
 * The reflector's list: one or more pages, gathered apart, and put in the place of the whole set
 * only when the last page is there.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "basics/text.h"
#include "kube/reflector_internal.h"

/* So many lists in a row answered by an error, and the version asked for is not asked for again. */
#define VERSION_TRIES 3
/* 65,536 nodes in pages of a tenth of what is asked for. */
#define PAGES_MAX     1310

void reflector_list_reset(struct reflector *reflector)
{
        list_decoder_deinit(&reflector->list);
        reflector->list = (struct list_decoder){};
        reflector_gather_reset(reflector);
        free(reflector->continue_token);
        reflector->continue_token = NULL;
        reflector->pages = 0;
}

static int on_element(void *userdata, struct json_object *object, const struct error *problem)
{
        return reflector_gather(userdata, object, problem);
}

static int on_data(void *userdata, const char *data, size_t size)
{
        struct reflector *reflector = userdata;

        return list_decoder_feed(&reflector->list, data, size);
}

/* Page 1 is asked for by version, the others by their token alone. */
static int list_query(const struct reflector *reflector, char **ret)
{
        const char *value = "0";
        char *escaped;
        int n;

        if (reflector->continue_token)
                value = reflector->continue_token;
        else if (reflector->from == LIST_KNOWN)
                value = reflector->version;
        escaped = curl_easy_escape(NULL, value, 0);
        if (!escaped)
                return -ENOMEM;
        if (reflector->continue_token)
                n = asprintf(ret, REFLECTOR_PATH "?continue=%s&limit=%ju", escaped,
                        (uintmax_t)reflector->timings.page_limit);
        else if (reflector->from != LIST_LATEST)
                n = asprintf(ret, REFLECTOR_PATH "?resourceVersion=%s", escaped);
        else if (reflector->unpaged)
                n = asprintf(ret, REFLECTOR_PATH);
        else
                n = asprintf(
                        ret, REFLECTOR_PATH "?limit=%ju", (uintmax_t)reflector->timings.page_limit);
        curl_free(escaped);
        return n < 0 ? -ENOMEM : 0;
}

/* Starts again at once with another way of asking; what was gathered is dropped. */
static void list_again(struct reflector *reflector, enum list_from from, bool unpaged)
{
        reflector_list_reset(reflector);
        reflector->from = from;
        reflector->unpaged = unpaged;
        reflector_schedule(reflector, NEXT_LIST, 0);
}

static void list_failed(struct reflector *reflector, const struct outcome *outcome)
{
        bool later_page = reflector->continue_token;

        if (outcome->kind == ANSWER_EXPIRED && later_page) {
                list_again(reflector, LIST_LATEST, true);
                return;
        }
        if ((outcome->kind == ANSWER_EXPIRED || outcome->kind == ANSWER_TOO_LARGE) &&
                reflector->from != LIST_LATEST) {
                list_again(reflector, LIST_LATEST, false);
                return;
        }
        reflector_list_reset(reflector);
        if (outcome->kind == ANSWER_UNAUTHORIZED) {
                reflector_unauthorized(reflector, NEXT_LIST, outcome);
                return;
        }
        if (outcome->kind == ANSWER_REFUSED && ++reflector->list_failures >= VERSION_TRIES)
                reflector->from = LIST_LATEST;
        if (outcome->kind == ANSWER_ABSENT)
                reflector->from = LIST_ANY;
        reflector_fail(reflector, NEXT_LIST, outcome);
}

/* The page is whole: its version and token. 1: there is another one. */
static int take_page(struct reflector *reflector)
{
        struct list_decoder *list = &reflector->list;
        int r;

        r = list_decoder_finish(list);
        if (r < 0)
                return r;
        if (!list->version || !*list->version || strcmp(list->version, "0") == 0)
                return -EBADMSG;
        if (!reflector->gathered->version) {
                r = cluster_set_version(reflector->gathered, list->version);
                if (r < 0)
                        return r;
        }
        /* A server whose pages never end. */
        if (++reflector->pages >= PAGES_MAX && list->continue_token)
                return -EFBIG;
        r = text_replace(&reflector->continue_token, list->continue_token);
        return r < 0 ? r : reflector->continue_token != NULL;
}

static void on_done(void *userdata, const struct http_result *result)
{
        struct reflector *reflector = userdata;
        struct outcome outcome = reflector_take_result(reflector, result);
        struct error error = {};
        int r;

        if (outcome.kind != ANSWER_OK) {
                list_failed(reflector, &outcome);
                return;
        }
        r = take_page(reflector);
        if (r > 0) {
                reflector_schedule(reflector, NEXT_LIST, 0);
                return;
        }
        if (r < 0)
                error_set(&error, r, "%s",
                        r == -ENOMEM ? "out of memory" : "the API server sent no whole list");
        else
                r = reflector_take_set(reflector, &error);
        reflector_list_reset(reflector);
        if (r < 0) {
                reflector_fail_with(reflector, NEXT_LIST, r, error.text);
                return;
        }
        reflector_succeeded(reflector);
        reflector_schedule(reflector, NEXT_WATCH, 0);
}

int reflector_list_begin(struct reflector *reflector)
{
        struct http_options options = {
                .credential = reflector->credential,
                .addresses = reflector->addresses,
                .n_addresses = reflector->n_addresses,
                .compressed = true,
                .fresh = reflector->fresh,
                .timeout = reflector->timings.list_timeout,
                .body_maximum = REFLECTOR_LIST_MAX,
                .data = on_data,
                .done = on_done,
                .userdata = reflector,
        };
        _cleanup_free_ char *query = NULL;
        int r;

        if (reflector->from == LIST_KNOWN && !reflector->version)
                reflector->from = LIST_ANY;
        r = reflector_gather_begin(reflector);
        if (r < 0)
                return r;
        list_decoder_deinit(&reflector->list);
        list_decoder_init(&reflector->list, 0, on_element, reflector);
        r = list_query(reflector, &query);
        if (r < 0)
                return r;
        options.path = query;
        r = http_get(reflector->http, &options, &reflector->request);
        if (r < 0)
                return r;
        reflector_set_state(reflector, REFLECTOR_LISTING);
        return 0;
}
