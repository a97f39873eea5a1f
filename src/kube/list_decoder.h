/*
 * The body of a list (Kubernetes API, "List"), decoded while it comes: each element of "items" is
 * handed out alone, so that memory is bounded by the largest element and not by the list. The
 * version comes last in the body: only after the end may the elements be taken for the whole set.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kube/json.h"
#include "kube/json_scan.h"

#define LIST_ELEMENT_MAX ((size_t)4 * 1024 * 1024)
#define LIST_TEXT_MAX    4096

struct list_decoder {
        struct json_scan scan;
        struct json_capture capture; /* the element, the metadata, or a short text */
        char key[32];                /* of the member of the list that is being read */
        size_t key_length;
        enum { LIST_KEY, LIST_COLON, LIST_VALUE, LIST_ITEMS, LIST_SKIP, LIST_DONE } state;
        bool has_items;

        /*
         * An element. `object` is NULL when it cannot be used and `error` says why; the elements
         * behind it still come. A negative return ends the decoding with that code.
         */
        int (*element)(void *userdata, struct json_object *object, const struct error *error);
        void *userdata;

        char *kind;           /* NULL: not read, or not there */
        char *version;        /* metadata.resourceVersion */
        char *continue_token; /* metadata.continue; NULL when it is absent or "" */
        bool remaining;       /* metadata.remainingItemCount says that there is more */
};

/* `maximum` bytes an element; 0: LIST_ELEMENT_MAX. */
void list_decoder_init(struct list_decoder *decoder, size_t maximum,
        int (*element)(void *userdata, struct json_object *object, const struct error *error),
        void *userdata);
void list_decoder_deinit(struct list_decoder *decoder);
/* −EBADMSG, −E2BIG: this is no list. −ENOMEM. Otherwise what the callback returned. */
int list_decoder_feed(struct list_decoder *decoder, const char *data, size_t size);
/*
 * At the end of the body. −ENODATA: it is not whole, or there is more and no token that leads to
 * it. −EBADMSG: it had no "items", or its kind is no list's. Only after 0 do the elements count.
 */
int list_decoder_finish(const struct list_decoder *decoder);
