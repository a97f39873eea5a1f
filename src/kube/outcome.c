#include "kube/outcome.h"

#include <stdio.h>
#include <string.h>

#include "basics/backoff.h"

#define MESSAGE_SHOWN    300
#define STATUS_TEXT_MAX  4096
#define STATUS_CAUSE_MAX 32

/* What stands in a metav1.Status; message is printable and short. */
struct status {
        long code;
        char message[MESSAGE_SHOWN + 1];
        bool too_large;
        uint64_t retry_after;
};

static void copy_printable(char *to, size_t room, const char *from)
{
        size_t n = 0;

        for (; *from && n + 1 < room; from++)
                to[n++] = *from >= ' ' && *from <= '~' ? *from : ' ';
        while (n > 0 && to[n - 1] == ' ')
                n--;
        to[n] = '\0';
}

/* details.causes[].reason; apimachinery's metav1.CauseTypeResourceVersionTooLarge. */
static bool names_too_large(struct json_object *details)
{
        struct json_object *causes = NULL;

        if (kube_json_get(details, "causes", json_type_array, &causes, NULL) < 0 || !causes)
                return false;
        for (size_t i = 0; i < json_object_array_length(causes) && i < STATUS_CAUSE_MAX; i++) {
                struct json_object *cause = json_object_array_get_idx(causes, i);
                const char *reason = NULL;

                if (!json_object_is_type(cause, json_type_object))
                        continue;
                (void)kube_json_get_text(cause, "reason", STATUS_TEXT_MAX, &reason, NULL);
                if (reason && strcmp(reason, "ResourceVersionTooLarge") == 0)
                        return true;
        }
        return false;
}

static void read_status(struct json_object *object, struct status *status)
{
        struct json_object *value = NULL, *details = NULL;
        const char *message = NULL;

        if (!json_object_is_type(object, json_type_object))
                return;
        if (kube_json_get(object, "code", json_type_int, &value, NULL) >= 0 && value) {
                int64_t code = json_object_get_int64(value);

                if (code >= 100 && code < 600)
                        status->code = (long)code;
        }
        (void)kube_json_get_text(object, "message", STATUS_TEXT_MAX, &message, NULL);
        if (message)
                copy_printable(status->message, sizeof(status->message), message);
        (void)kube_json_get(object, "details", json_type_object, &details, NULL);
        status->too_large = names_too_large(details);
        if (!status->too_large && message)
                status->too_large = strstr(message, "Too large resource version") != NULL;
        if (kube_json_get(details, "retryAfterSeconds", json_type_int, &value, NULL) >= 0 &&
                value) {
                int64_t seconds = json_object_get_int64(value);

                if (seconds > 0 && seconds < 86400)
                        status->retry_after = (uint64_t)seconds * USEC_PER_SEC;
        }
}

static struct outcome judge(const struct status *status)
{
        struct outcome outcome = {.retry_after = status->retry_after};
        int code = -EIO;

        switch (status->code) {
        case 401:
                outcome.kind = ANSWER_UNAUTHORIZED;
                code = -EACCES;
                break;
        case 403:
                outcome.kind = ANSWER_FORBIDDEN;
                code = -EPERM;
                break;
        case 404:
                outcome.kind = ANSWER_ABSENT;
                code = -ENOENT;
                break;
        case 410:
                outcome.kind = ANSWER_EXPIRED;
                code = -ESTALE;
                break;
        case 429:
        case 502:
        case 503:
        case 504:
                outcome.kind = ANSWER_BUSY;
                code = -EAGAIN;
                break;
        default: outcome.kind = ANSWER_REFUSED; break;
        }
        if (status->too_large) {
                outcome.kind = ANSWER_TOO_LARGE;
                code = -ESTALE;
        }
        error_set(&outcome.error, code, "the API server answered %ld%s%s%s", status->code,
                status->message[0] ? ": " : "", status->message,
                outcome.kind == ANSWER_ABSENT ? " (CiliumNodes are not known there)" : "");
        return outcome;
}

struct outcome outcome_from_status(struct json_object *object)
{
        struct status status = {.retry_after = HTTP_NO_RETRY_AFTER};

        read_status(object, &status);
        return judge(&status);
}

/* What the decoders refuse a body with, in words. */
static const char *broken_text(const struct http_result *result)
{
        switch (result->error) {
        case -EBADMSG: return "sent what is not JSON of the right form";
        case -E2BIG: return "sent JSON that is nested too deep";
        case -EFBIG: return "sent more than is taken";
        default: return result->text;
        }
}

struct outcome outcome_from_result(const struct http_result *result)
{
        struct status status = {.code = result->status, .retry_after = result->retry_after};
        _cleanup_(kube_json_putp) struct json_object *object = NULL;

        if (result->error < 0) {
                struct outcome outcome = {
                        .kind = ANSWER_BROKEN,
                        .retry_after = HTTP_NO_RETRY_AFTER,
                        .unreachable = result->error != -EFBIG && result->error != -ENOMEM,
                };

                error_set(&outcome.error, result->error, "the API server: %s", broken_text(result));
                return outcome;
        }
        if (result->status == 200)
                return (struct outcome){.kind = ANSWER_OK, .retry_after = HTTP_NO_RETRY_AFTER};
        if (kube_json_parse(result->body, strlen(result->body), &object) >= 0) {
                read_status(object, &status);
                /* The response's own status and header stand above what its body says. */
                status.code = result->status;
                if (result->retry_after != HTTP_NO_RETRY_AFTER)
                        status.retry_after = result->retry_after;
        } else if (!result->json) {
                copy_printable(status.message, sizeof(status.message), result->body);
        }
        return judge(&status);
}
