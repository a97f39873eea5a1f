/*
 * The outline of JSON text, byte by byte: where strings, objects and arrays begin and end. It does
 * not say whether the text between is JSON (kube/json.h does, once a whole value is there), only
 * where a value is over, however the text was cut into pieces.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_SCAN_DEPTH 64

struct json_scan {
        uint64_t arrays; /* bit n: the bracket that opened depth n + 1 is '[' */
        unsigned depth;
        bool in_string, escaped;
};

enum json_mark {
        JSON_INSIDE, /* a byte of no importance for the outline */
        JSON_OPEN,   /* '{' or '[': depth has grown */
        JSON_CLOSE,  /* '}' or ']': depth has shrunk */
        JSON_QUOTE_OPEN,
        JSON_QUOTE_CLOSE,
        JSON_COLON,
        JSON_COMMA,
        JSON_BLANK, /* white space outside strings */
};

/*
 * Takes one byte; its mark. −EBADMSG: brackets that do not match, a raw control character in a
 * string. −E2BIG: deeper than JSON_SCAN_DEPTH. After an error the scan is over.
 */
int json_scan_byte(struct json_scan *scan, char byte);

/* A bounded copy of a part of the text. */
struct json_capture {
        char *text;
        size_t size, allocated, maximum;
        bool active;
        bool overflowed; /* more came than `maximum`: the text is of no use, the rest is dropped */
        bool failed;     /* out of memory */
};

void json_capture_begin(struct json_capture *capture);
void json_capture_add(struct json_capture *capture, const char *data, size_t size);
/* Keeps the memory for the next one unless it is large. */
void json_capture_end(struct json_capture *capture);
void json_capture_deinit(struct json_capture *capture);
