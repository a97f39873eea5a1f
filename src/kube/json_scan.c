#include "kube/json_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "basics/array.h"

#define KEPT_MEMORY ((size_t)64 * 1024)

static int scan_string(struct json_scan *scan, char byte)
{
        if ((unsigned char)byte < 0x20)
                return -EBADMSG;
        if (scan->escaped) {
                scan->escaped = false;
                return JSON_INSIDE;
        }
        if (byte == '\\')
                scan->escaped = true;
        if (byte != '"')
                return JSON_INSIDE;
        scan->in_string = false;
        return JSON_QUOTE_CLOSE;
}

static int scan_open(struct json_scan *scan, bool array)
{
        if (scan->depth == JSON_SCAN_DEPTH)
                return -E2BIG;
        scan->arrays &= ~(UINT64_C(1) << scan->depth);
        scan->arrays |= (uint64_t)array << scan->depth;
        scan->depth++;
        return JSON_OPEN;
}

static int scan_close(struct json_scan *scan, bool array)
{
        if (scan->depth == 0)
                return -EBADMSG;
        scan->depth--;
        return ((scan->arrays >> scan->depth) & 1) == array ? JSON_CLOSE : -EBADMSG;
}

int json_scan_byte(struct json_scan *scan, char byte)
{
        if (scan->in_string)
                return scan_string(scan, byte);
        switch (byte) {
        case '{': return scan_open(scan, false);
        case '[': return scan_open(scan, true);
        case '}': return scan_close(scan, false);
        case ']': return scan_close(scan, true);
        case '"': scan->in_string = true; return JSON_QUOTE_OPEN;
        case ':': return JSON_COLON;
        case ',': return JSON_COMMA;
        case ' ':
        case '\t':
        case '\r':
        case '\n': return JSON_BLANK;
        default: return JSON_INSIDE;
        }
}

void json_capture_begin(struct json_capture *capture)
{
        capture->size = 0;
        capture->active = true;
        capture->overflowed = capture->failed = false;
}

void json_capture_add(struct json_capture *capture, const char *data, size_t size)
{
        if (!capture->active || capture->overflowed || capture->failed || size == 0)
                return;
        if (size > capture->maximum || capture->size > capture->maximum - size) {
                capture->overflowed = true;
                json_capture_deinit(capture);
                return;
        }
        if (!ARRAY_RESERVE(capture->text, capture->allocated, capture->size + size)) {
                capture->failed = true;
                return;
        }
        memcpy(capture->text + capture->size, data, size);
        capture->size += size;
}

void json_capture_end(struct json_capture *capture)
{
        capture->active = false;
        if (capture->allocated > KEPT_MEMORY)
                json_capture_deinit(capture);
}

/* The flags stay: they say what has become of the text. */
void json_capture_deinit(struct json_capture *capture)
{
        free(capture->text);
        capture->text = NULL;
        capture->size = capture->allocated = 0;
}
