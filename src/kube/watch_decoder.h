/*
 * The body of a watch, cut into events: JSON objects one after the other, whatever the pieces that
 * the network delivers (Kubernetes API, "Efficient detection of changes"). Memory is bounded by
 * the largest event that is taken. What stands unfinished at the end of the body is no event.
 */
#pragma once

#include <stddef.h>

#include "kube/json.h"
#include "kube/json_scan.h"

#define WATCH_EVENT_MAX ((size_t)4 * 1024 * 1024)

struct watch_decoder {
        struct json_scan scan;
        struct json_capture capture;
        /*
         * An event. `object` is NULL when it cannot be used and `error` says why; the events behind
         * it still come. A negative return ends the decoding with that code.
         */
        int (*event)(void *userdata, struct json_object *object, const struct error *error);
        void *userdata;
};

/* `maximum` bytes an event; 0: WATCH_EVENT_MAX. */
void watch_decoder_init(struct watch_decoder *decoder, size_t maximum,
        int (*event)(void *userdata, struct json_object *object, const struct error *error),
        void *userdata);
void watch_decoder_deinit(struct watch_decoder *decoder);
/*
 * −EBADMSG, −E2BIG: this is no stream of JSON objects; nothing more can be read from it. −ENOMEM.
 * Otherwise what the callback returned.
 */
int watch_decoder_feed(struct watch_decoder *decoder, const char *data, size_t size);
