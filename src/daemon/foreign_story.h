/*
 * What the journal and the status say of others who touch what is ours: each change while they are
 * few, a fight (fight.h) once when it begins and once when it is over.
 */
#pragma once

#include "daemon/fight.h"
#include "service/status.h"

/* Zero it to begin. */
struct foreign_story {
        struct fight fight;
        char who[PORT_ID_TEXT_MAX]; /* the last one whose name could be found out */
        uint64_t second;            /* in which `told` were told */
        unsigned told;
        uint64_t untold; /* too many to be told one by one, until the next account */
};

/* Times are µs of a clock that does not jump. `ours`: it was ours that was touched, not beside it.
 */
void foreign_story_change(struct foreign_story *story, struct status *status,
        const struct foreign_change *change, bool ours, uint64_t now_usec);
/* After the repair: how many changes were not told one by one. */
void foreign_story_account(struct foreign_story *story, const struct status *status);
/* Tells when a fight is over; false: it goes on, ask again. */
bool foreign_story_peace(struct foreign_story *story, struct status *status, uint64_t now_usec);
