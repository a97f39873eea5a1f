#include "model/node_changes.h"

void node_changes_add(struct node_changes *changes, struct node *before, struct node *after)
{
        if (changes->incomplete)
                return;
        if (changes->n == NODE_CHANGES_MAX) {
                node_changes_clear(changes);
                changes->incomplete = true;
                return;
        }
        changes->items[changes->n++] = (struct node_change){
                .before = before ? node_ref(before) : NULL,
                .after = after ? node_ref(after) : NULL,
        };
}

void node_changes_clear(struct node_changes *changes)
{
        for (size_t i = 0; i < changes->n; i++) {
                node_free(changes->items[i].before);
                node_free(changes->items[i].after);
        }
        *changes = (struct node_changes){};
}
