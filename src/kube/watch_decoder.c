#include "kube/watch_decoder.h"

#include <string.h>

void watch_decoder_init(struct watch_decoder *decoder, size_t maximum,
        int (*event)(void *userdata, struct json_object *object, const struct error *error),
        void *userdata)
{
        *decoder = (struct watch_decoder){
                .capture = {.maximum = maximum > 0 ? maximum : WATCH_EVENT_MAX},
                .event = event,
                .userdata = userdata,
        };
}

void watch_decoder_deinit(struct watch_decoder *decoder)
{
        json_capture_deinit(&decoder->capture);
}

static int finish_event(struct watch_decoder *decoder)
{
        struct json_capture *capture = &decoder->capture;
        _cleanup_(kube_json_putp) struct json_object *object = NULL;
        struct error error = {};
        int r = 0;

        if (capture->failed)
                return -ENOMEM;
        if (capture->overflowed)
                error_set(&error, -EFBIG, "an event of more than %zu bytes", capture->maximum);
        else
                r = kube_json_parse(capture->text, capture->size, &object);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                error_set(&error, r, "an event that is not JSON");
        json_capture_end(capture);
        return decoder->event(decoder->userdata, object, object ? NULL : &error);
}

int watch_decoder_feed(struct watch_decoder *decoder, const char *data, size_t size)
{
        size_t begin = 0; /* of what is not in the capture yet */

        for (size_t i = 0; i < size; i++) {
                int mark = json_scan_byte(&decoder->scan, data[i]);

                if (mark < 0)
                        return mark;
                if (!decoder->capture.active) {
                        if (mark == JSON_BLANK)
                                continue;
                        if (mark != JSON_OPEN || data[i] != '{')
                                return -EBADMSG;
                        json_capture_begin(&decoder->capture);
                        begin = i;
                }
                if (mark == JSON_CLOSE && decoder->scan.depth == 0) {
                        int r;

                        json_capture_add(&decoder->capture, data + begin, i + 1 - begin);
                        r = finish_event(decoder);
                        if (r < 0)
                                return r;
                }
        }
        json_capture_add(&decoder->capture, data + begin, size - begin);
        return 0;
}
