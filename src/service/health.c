#include "service/health.h"

#define HTTP_OK          200
#define HTTP_UNAVAILABLE 503

unsigned health_live(
        const struct status *status, bool making_progress, struct text_builder *builder)
{
        if (making_progress) {
                text_append(builder, "ok\n");
                return HTTP_OK;
        }
        text_append(builder, "reconciling makes no progress%s%s\n", status->reason[0] ? ": " : "",
                status->reason);
        return HTTP_UNAVAILABLE;
}

unsigned health_ready(const struct status *status, struct text_builder *builder)
{
        if (status->in_sync) {
                text_append(builder, "ok%s%s%s%s%s%s\n",
                        status->reason[0] ? ", but degraded: " : "", status->reason,
                        status->fight[0] ? ", but in a fight with " : "", status->fight,
                        status->peers.problems[0] ? ", but WireGuard peers: " : "",
                        status->peers.problems);
                return HTTP_OK;
        }
        if (status->reason[0])
                text_append(builder, "%s: %s\n", state_name(status->state), status->reason);
        else if (status->observe_only)
                text_append(builder, "observe mode: the wanted policy is not applied%s%s\n",
                        status->preview.text[0] ? ": " : "", status->preview.text);
        else
                text_append(builder, "%s: the kernel does not hold the wanted policy yet\n",
                        state_name(status->state));
        return HTTP_UNAVAILABLE;
}
