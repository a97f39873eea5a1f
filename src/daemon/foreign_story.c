#include "daemon/foreign_story.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "basics/backoff.h"
#include "basics/log.h"
#include "basics/message_id.h"
#include "policy/format.h"

/* Told one by one; a flushed table is thousands. */
#define TOLD_PER_SECOND 20u

static void describe(const struct foreign_change *change, struct status *status, const char *who)
{
        struct text_builder object = {};

        if (change->is_rule) {
                text_append(&object, "rule ");
                rule_format(&change->rule, &object);
        } else {
                text_append(&object, "route ");
                route_format(&change->route, NULL, &object);
        }
        status->last_foreign_change_at = (uint64_t)time(NULL);
        STATUS_PRINT(status->last_foreign_change, "%s %s by %s", object.failed ? "?" : object.text,
                change->deleted ? "deleted" : "added", who);
        text_deinit(&object);
}

/* Most are short-lived commands: a name that was once found out is worth more than a number. */
static const char *remember_who(struct foreign_story *story, uint32_t port_id, char *buffer)
{
        const char *who = port_id_describe(port_id, buffer);

        if (strchr(who, '[') || !story->who[0])
                snprintf(story->who, sizeof(story->who), "%s", who);
        return who;
}

static void fight_begins(
        struct foreign_story *story, struct status *status, const char *const *fields)
{
        status->totals.fights++;
        STATUS_PRINT(status->fight, "%s", story->who);
        log_event(LOG_ERR, MESSAGE_FIGHT, fields,
                "a fight: what is ours was taken away %u times within %" PRIu64
                " s, last: %s; it is put back each time, but does not hold in between, and traffic "
                "may be in clear then: stop %s",
                FIGHT_TIMES, FIGHT_WINDOW_USEC / USEC_PER_SEC, status->last_foreign_change,
                story->who);
}

/* False: this second had enough. */
static bool may_tell(struct foreign_story *story, uint64_t now)
{
        if (story->second != now / USEC_PER_SEC) {
                story->second = now / USEC_PER_SEC;
                story->told = 0;
        }
        return story->told++ < TOLD_PER_SECOND;
}

void foreign_story_change(struct foreign_story *story, struct status *status,
        const struct foreign_change *change, bool ours, uint64_t now)
{
        char buffer[PORT_ID_TEXT_MAX], port[48];
        const char *fields[] = {port, NULL};
        enum fight_news news;

        /* Port id 0: the kernel's own doing, as when a device goes; the link tells of that. */
        if (change->port_id == 0)
                return;
        snprintf(port, sizeof(port), "NODECRYPTOR_PORT_ID=%u", change->port_id);
        status->totals.foreign_changes++;
        describe(change, status, remember_who(story, change->port_id, buffer));
        news = ours ? fight_note(&story->fight, change, now) : FIGHT_NONE;
        if (news == FIGHT_BEGINS)
                fight_begins(story, status, fields);
        else if (news == FIGHT_GOES_ON)
                log_debug("%s", status->last_foreign_change);
        else if (may_tell(story, now))
                log_event(LOG_WARNING, MESSAGE_FOREIGN_CHANGE, fields, "%s",
                        status->last_foreign_change);
        else
                story->untold++;
}

void foreign_story_account(struct foreign_story *story, const struct status *status)
{
        if (story->untold == 0)
                return;
        log_event(LOG_WARNING, MESSAGE_FOREIGN_CHANGE, NULL, "%" PRIu64 " more of these, last: %s",
                story->untold, status->last_foreign_change);
        story->untold = 0;
}

bool foreign_story_peace(struct foreign_story *story, struct status *status, uint64_t now)
{
        if (!story->fight.going_on)
                return true;
        if (!fight_has_ended(&story->fight, now))
                return false;
        log_event(LOG_NOTICE, MESSAGE_FIGHT, NULL,
                "the fight is over: nobody has touched what is ours for %" PRIu64
                " s; it was put back after %" PRIu64 " changes in %" PRIu64 " s",
                FIGHT_OVER_USEC / USEC_PER_SEC, story->fight.changes,
                (story->fight.last - story->fight.since) / USEC_PER_SEC);
        status->fight[0] = story->who[0] = '\0';
        return true;
}
