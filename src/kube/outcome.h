/*
 * What an answer of the API server means for a reflector: one verdict for a response's status and
 * body (metav1.Status, or plain text) and for the Status object of a watch's ERROR event.
 */
#pragma once

#include <stdint.h>

#include "basics/error.h"
#include "kube/http.h"
#include "kube/json.h"

enum answer {
        ANSWER_OK,
        ANSWER_EXPIRED,      /* 410: the version or the continue token is too old */
        ANSWER_TOO_LARGE,    /* 504 by a cause: the version is newer than the server's */
        ANSWER_UNAUTHORIZED, /* 401 */
        ANSWER_FORBIDDEN,    /* 403 */
        ANSWER_ABSENT,  /* 404: no such resource, for instance before Cilium's CRDs are there */
        ANSWER_BUSY,    /* 429, 503, 502, 504: later, the same again */
        ANSWER_REFUSED, /* any other status */
        ANSWER_BROKEN,  /* the response did not come, or not whole */
};

struct outcome {
        enum answer kind;
        struct error error;   /* in words, unless ANSWER_OK */
        uint64_t retry_after; /* µs, or HTTP_NO_RETRY_AFTER */
        bool unreachable;     /* there was no connection, or it broke */
};

struct outcome outcome_from_result(const struct http_result *result);
/* `status` may be NULL or of any type. */
struct outcome outcome_from_status(struct json_object *status);
