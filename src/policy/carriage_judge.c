/*
 * When does a peer not answer? The device tells of each peer the bytes sent and the time of the
 * last handshake that was completed. The WireGuard paper, §6 ("Timers & Stateless UX"), says what
 * follows from that:
 *
 *  - A session is used for REJECT_AFTER_TIME (180 s) after its handshake and not a second longer
 *    (§6.2); whoever sends after REKEY_AFTER_TIME (120 s) renews it. A peer to whom nothing is sent
 *    has an old handshake and is well: silence is normal (§6.5, no keepalive without data).
 *  - So what is sent when the session is older than 180 s, or when there never was one, can only be
 *    handshake messages: data waits until there is a session. If the handshake succeeds, its time
 *    changes within a round trip. One that is not answered is repeated every REKEY_TIMEOUT (5 s)
 *    for REKEY_ATTEMPT_TIME (90 s), then given up until there is something to send (§6.4).
 *
 * Hence: a peer is stale from the moment on at which its bytes sent are seen to have grown while
 * the last handshake seen was older than 180 s (or there was none), and it stays so until there is
 * a new handshake. The grace time (CARRIAGE_GRACE_SEC, six attempts) takes care of one that is just
 * under way. The age is measured by how long WE have seen the same handshake, not by its time of
 * day: a clock that is set makes no alarm, at the price of 180 s of blindness after our start.
 *
 * What this cannot see: a peer without an endpoint, or without a route to it, is sent nothing, and
 * counts as idle.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "basics/text.h"
#include "policy/carriage_reading.h"

static int peer_compare(const void *a, const void *b, void *peers)
{
        const struct carriage_peer *all = peers;

        return memcmp(all[*(const uint32_t *)a].peer.key, all[*(const uint32_t *)b].peer.key,
                PEER_KEY_SIZE);
}

static int sort_by_key(struct carriage *carriage)
{
        carriage->by_key = calloc(carriage->n_peers + 1, sizeof(*carriage->by_key));
        if (!carriage->by_key)
                return -ENOMEM;
        for (size_t i = 0; i < carriage->n_peers; i++)
                carriage->by_key[i] = (uint32_t)i;
        if (carriage->n_peers > 0)
                qsort_r(carriage->by_key, carriage->n_peers, sizeof(*carriage->by_key),
                        peer_compare, carriage->peers);
        return 0;
}

static bool session_is_over(const struct carriage_peer *peer, uint32_t now)
{
        return peer->peer.handshake_nsec == 0 || now - peer->session_since >= REJECT_AFTER_SEC;
}

static void follow_peer(struct carriage_peer *peer, const struct carriage_peer *before,
        uint32_t before_at, uint32_t now)
{
        bool same = before && before->peer.handshake_nsec == peer->peer.handshake_nsec &&
                    before->peer.tx_bytes <= peer->peer.tx_bytes;

        peer->session_since = same ? before->session_since : now;
        peer->unanswered_since = same ? before->unanswered_since : 0;
        if (peer->unanswered_since != 0)
                return;
        if (same && session_is_over(before, before_at) &&
                peer->peer.tx_bytes > before->peer.tx_bytes)
                peer->unanswered_since = now;
        /* Seen for the first time: whatever was sent to it was in vain so far. */
        if (!same && peer->peer.handshake_nsec == 0 && peer->peer.tx_bytes > 0)
                peer->unanswered_since = now;
}

/* Both lists are walked in the order of their keys. */
static void follow_peers(struct carriage *carriage, const struct carriage *previous, uint32_t now)
{
        size_t next = 0;

        for (size_t i = 0; i < carriage->n_peers; i++) {
                struct carriage_peer *peer = &carriage->peers[carriage->by_key[i]];
                const struct carriage_peer *before = NULL;

                while (previous && next < previous->n_peers) {
                        const struct carriage_peer *one = &previous->peers[previous->by_key[next]];
                        int order = memcmp(one->peer.key, peer->peer.key, PEER_KEY_SIZE);

                        if (order == 0)
                                before = one;
                        if (order >= 0)
                                break;
                        next++;
                }
                follow_peer(peer, before, previous ? previous->read_at : 0, now);
        }
}

/* What each address found becomes the node's, and the peer's. */
static void assign(struct carriage *carriage)
{
        const struct carriage_reading *reading = carriage->reading;

        for (size_t i = 0; i < reading->n_targets; i++) {
                const struct carriage_target *target = &reading->targets[i];
                struct carriage_node *row = &carriage->nodes[target->node];

                if (target->peer == CARRIAGE_NONE)
                        continue;
                if (carriage->peers[target->peer].node == CARRIAGE_NONE)
                        carriage->peers[target->peer].node = target->node;
                if (target->kind == TARGET_OTHER)
                        row->other_carried++;
                else
                        row->carriers[target->kind] = target->peer;
        }
}

static enum carriage_state state_of(
        const struct carriage *carriage, const struct carriage_node *row, int family)
{
        const struct carriage_peer *peer;
        char text[PEER_KEY_TEXT_MAX];

        if (!row->steered[family])
                return CARRIAGE_GOOD;
        if (row->carriers[family] == CARRIAGE_NONE)
                return CARRIAGE_MISSING;
        peer = &carriage->peers[row->carriers[family]];
        /* Without an annotation there is nothing to compare with. */
        if (row->node->public_key &&
                !text_equal(row->node->public_key, peer_key_format(peer->peer.key, text)))
                return CARRIAGE_MISMATCHED;
        return peer->unanswered_since != 0 ? CARRIAGE_STALE : CARRIAGE_GOOD;
}

/* The worst of both families; the states stand in that order, but for GOOD. */
static void judge(const struct carriage *carriage, struct carriage_node *row)
{
        row->seen = CARRIAGE_GOOD;
        for (int i = 0; i < FAMILY_MAX; i++) {
                enum carriage_state state = state_of(carriage, row, i);

                if (state == CARRIAGE_GOOD ||
                        (row->seen != CARRIAGE_GOOD && (enum carriage_state)row->seen <= state))
                        continue;
                row->seen = (uint8_t)state;
                row->family = (uint8_t)i;
        }
}

/* A problem becomes the node's state when it has lasted; it is over when it is gone. */
static void follow_node(struct carriage_node *row, const struct carriage_node *before, uint32_t now)
{
        row->before = before ? before->state : CARRIAGE_GOOD;
        row->since = before && before->seen == row->seen ? before->since : now;
        row->state = row->before;
        if (row->seen == CARRIAGE_GOOD || now - row->since >= CARRIAGE_GRACE_SEC)
                row->state = row->seen;
}

/* The table is kept until the next reading: without the room that growing left. */
static void shrink(struct carriage *carriage)
{
        struct carriage_peer *peers =
                reallocarray(carriage->peers, carriage->n_peers + 1, sizeof(*peers));

        if (!peers)
                return;
        carriage->peers = peers;
        carriage->allocated = carriage->n_peers + 1;
}

int carriage_finish(struct carriage *carriage, const struct carriage *previous, uint32_t now)
{
        size_t next = 0;

        shrink(carriage);
        if (sort_by_key(carriage) < 0)
                return -ENOMEM;
        carriage->read_at = now;
        follow_peers(carriage, previous, now);
        assign(carriage);
        for (size_t i = 0; i < carriage->n_nodes; i++) {
                struct carriage_node *row = &carriage->nodes[i];
                const struct carriage_node *before = NULL;

                while (previous && next < previous->n_nodes) {
                        int order = strcmp(previous->nodes[next].node->name, row->node->name);

                        if (order == 0)
                                before = &previous->nodes[next];
                        if (order >= 0)
                                break;
                        next++;
                }
                judge(carriage, row);
                follow_node(row, before, now);
        }
        carriage_reading_free(carriage);
        return 0;
}
