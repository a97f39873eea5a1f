#include "kube/list_decoder.h"

#include <string.h>

#include "basics/text.h"

/*
 * The list is an object: members at depth 1. A member's value is captured when it is "items" (each
 * element at depth 2 alone), "metadata" or "kind", and passed over otherwise.
 */
#define DEPTH_MEMBERS 1
#define DEPTH_ITEMS   2

void list_decoder_init(struct list_decoder *decoder, size_t maximum,
        int (*element)(void *userdata, struct json_object *object, const struct error *error),
        void *userdata)
{
        *decoder = (struct list_decoder){
                .capture = {.maximum = maximum > 0 ? maximum : LIST_ELEMENT_MAX},
                .element = element,
                .userdata = userdata,
        };
}

void list_decoder_deinit(struct list_decoder *decoder)
{
        json_capture_deinit(&decoder->capture);
        free(decoder->kind);
        free(decoder->version);
        free(decoder->continue_token);
}

static bool key_is(const struct list_decoder *decoder, const char *key)
{
        return decoder->key_length == strlen(key) &&
               memcmp(decoder->key, key, decoder->key_length) == 0;
}

static int finish_element(struct list_decoder *decoder)
{
        struct json_capture *capture = &decoder->capture;
        _cleanup_(kube_json_putp) struct json_object *object = NULL;
        struct error error = {};
        int r = 0;

        if (capture->failed)
                return -ENOMEM;
        if (capture->overflowed)
                error_set(&error, -EFBIG, "an object of more than %zu bytes", capture->maximum);
        else
                r = kube_json_parse(capture->text, capture->size, &object);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                error_set(&error, r, "an object that is not JSON");
        else if (object && !json_object_is_type(object, json_type_object))
                error_set(&error, -EINVAL, "an element of the list that is no object");
        json_capture_end(capture);
        return decoder->element(
                decoder->userdata, error.code < 0 ? NULL : object, error.code < 0 ? &error : NULL);
}

static int take_metadata(struct list_decoder *decoder, struct json_object *metadata)
{
        struct json_object *remaining;
        const char *version, *token;

        if (kube_json_get_text(metadata, "resourceVersion", LIST_TEXT_MAX, &version, NULL) < 0 ||
                kube_json_get_text(metadata, "continue", LIST_TEXT_MAX, &token, NULL) < 0 ||
                kube_json_get(metadata, "remainingItemCount", json_type_int, &remaining, NULL) < 0)
                return -EBADMSG;
        if (text_replace(&decoder->version, version) < 0 ||
                text_replace(&decoder->continue_token, token && *token ? token : NULL) < 0)
                return -ENOMEM;
        decoder->remaining = remaining && json_object_get_int64(remaining) > 0;
        return 0;
}

/* The value of "metadata" or "kind" is whole. */
static int finish_member(struct list_decoder *decoder)
{
        struct json_capture *capture = &decoder->capture;
        _cleanup_(kube_json_putp) struct json_object *value = NULL;
        int r;

        if (capture->failed)
                return -ENOMEM;
        if (capture->overflowed)
                return -EBADMSG;
        r = kube_json_parse(capture->text, capture->size, &value);
        if (r < 0)
                return r == -EINVAL ? -EBADMSG : r;
        json_capture_end(capture);
        if (key_is(decoder, "metadata"))
                return json_object_is_type(value, json_type_object) ? take_metadata(decoder, value)
                                                                    : -EBADMSG;
        if (!json_object_is_type(value, json_type_string) || !kube_json_text(value))
                return -EBADMSG;
        return text_replace(&decoder->kind, kube_json_text(value));
}

static int begin_value(struct list_decoder *decoder, char byte)
{
        if (key_is(decoder, "items")) {
                /* Anything but one array must not be read as "there are none". */
                if (decoder->has_items || byte != '[')
                        return -EBADMSG;
                decoder->has_items = true;
                decoder->state = LIST_ITEMS;
                return 0;
        }
        if (key_is(decoder, "metadata") || key_is(decoder, "kind"))
                json_capture_begin(&decoder->capture);
        decoder->state = LIST_SKIP;
        return 0;
}

static int at_key(struct list_decoder *decoder, int mark, char byte)
{
        const struct json_scan *scan = &decoder->scan;

        if (scan->depth == 0) {
                decoder->state = LIST_DONE;
                return mark == JSON_CLOSE ? 0 : -EBADMSG;
        }
        if (mark == JSON_QUOTE_OPEN) {
                decoder->key_length = 0;
        } else if (mark == JSON_QUOTE_CLOSE) {
                decoder->state = LIST_COLON;
        } else if (scan->in_string) {
                /* A longer key is none of ours; its length alone matters. */
                if (decoder->key_length < sizeof(decoder->key))
                        decoder->key[decoder->key_length] = byte;
                decoder->key_length++;
        } else if (mark == JSON_INSIDE || mark == JSON_COLON || scan->depth != DEPTH_MEMBERS) {
                return -EBADMSG;
        }
        return 0;
}

/* In "items": elements at depth 2, until the array closes. */
static int at_items(struct list_decoder *decoder, int mark)
{
        struct json_capture *capture = &decoder->capture;
        unsigned depth = decoder->scan.depth;
        int r = 0;

        if (depth == DEPTH_MEMBERS || (depth == DEPTH_ITEMS && mark == JSON_COMMA)) {
                /* A scalar ends here; objects have ended at their bracket. */
                if (capture->active)
                        r = finish_element(decoder);
                if (depth == DEPTH_MEMBERS)
                        decoder->state = LIST_KEY;
                return r;
        }
        if (!capture->active && mark != JSON_BLANK)
                json_capture_begin(capture);
        return 0;
}

/* 1: this byte ends a value and does not belong to it. */
static int at_skip(struct list_decoder *decoder, int mark)
{
        unsigned depth = decoder->scan.depth;
        bool outside = depth == 0 || (depth == DEPTH_MEMBERS && mark == JSON_COMMA);

        if (!outside)
                return 0;
        if (decoder->capture.active) {
                int r = finish_member(decoder);

                if (r < 0)
                        return r;
        }
        decoder->state = depth == 0 ? LIST_DONE : LIST_KEY;
        return 1;
}

static int step(struct list_decoder *decoder, int mark, char byte)
{
        int r;

        switch (decoder->state) {
        case LIST_KEY:
                /* The first byte of all opens the list. */
                if (mark == JSON_OPEN && decoder->scan.depth == DEPTH_MEMBERS)
                        return byte == '{' ? 0 : -EBADMSG;
                if (mark == JSON_BLANK)
                        return 0;
                return at_key(decoder, mark, byte);
        case LIST_COLON:
                if (mark == JSON_COLON)
                        decoder->state = LIST_VALUE;
                return mark == JSON_COLON || mark == JSON_BLANK ? 0 : -EBADMSG;
        case LIST_VALUE:
                if (mark == JSON_BLANK)
                        return 0;
                if (mark == JSON_COMMA || mark == JSON_COLON || mark == JSON_CLOSE)
                        return -EBADMSG;
                return begin_value(decoder, byte);
        case LIST_ITEMS: return at_items(decoder, mark);
        case LIST_SKIP: r = at_skip(decoder, mark); return r < 0 ? r : 0;
        case LIST_DONE: return mark == JSON_BLANK ? 0 : -EBADMSG;
        }
        return -EBADMSG;
}

/*
 * Bytes go into the capture a run at a time. `begin` is where the run that is not copied yet
 * starts; a capture that begins or ends within step() moves it.
 */
int list_decoder_feed(struct list_decoder *decoder, const char *data, size_t size)
{
        struct json_capture *capture = &decoder->capture;
        size_t begin = 0;

        for (size_t i = 0; i < size; i++) {
                bool was_active = capture->active, ends;
                int mark = json_scan_byte(&decoder->scan, data[i]), r;

                if (mark < 0)
                        return mark;
                /* What may end a captured value: then all before this byte must be in. */
                ends = was_active && (mark == JSON_COMMA || mark == JSON_CLOSE) &&
                       decoder->scan.depth <= DEPTH_ITEMS;
                if (ends) {
                        json_capture_add(capture, data + begin, i - begin);
                        begin = i;
                }
                r = step(decoder, mark, data[i]);
                if (r < 0)
                        return r;
                if (!was_active && capture->active)
                        begin = i;
                /* An object's own closing bracket belongs to it. */
                if (ends && capture->active && decoder->state == LIST_ITEMS && mark == JSON_CLOSE &&
                        decoder->scan.depth == DEPTH_ITEMS) {
                        json_capture_add(capture, data + begin, 1);
                        begin = i + 1;
                        r = finish_element(decoder);
                        if (r < 0)
                                return r;
                }
        }
        if (capture->active)
                json_capture_add(capture, data + begin, size - begin);
        return 0;
}

int list_decoder_finish(const struct list_decoder *decoder)
{
        size_t length;

        if (decoder->state != LIST_DONE)
                return -ENODATA;
        if (!decoder->has_items)
                return -EBADMSG;
        length = decoder->kind ? strlen(decoder->kind) : 0;
        if (length < 4 || strcmp(decoder->kind + length - 4, "List") != 0)
                return -EBADMSG;
        return decoder->remaining && !decoder->continue_token ? -ENODATA : 0;
}
