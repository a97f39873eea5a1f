/*
 * What became of single nodes since their cluster was last put into the kernel: as much as a small
 * run needs, and no more than a bounded number of them.
 */
#pragma once

#include "model/node.h"

/* Beyond so many, looking at everything is no more work. */
#define NODE_CHANGES_MAX 64

struct node_change {
        struct node *before; /* NULL: it came */
        struct node *after;  /* NULL: it went */
};

/* Zero it to begin. */
struct node_changes {
        struct node_change items[NODE_CHANGES_MAX]; /* in order; a node may be there repeatedly */
        size_t n;
        bool incomplete; /* more has changed than stands here */
};

/* Keeps both, which may be NULL, by node_ref(). */
void node_changes_add(struct node_changes *changes, struct node *before, struct node *after);
/* Forgets all of them: from now on nothing has changed. */
void node_changes_clear(struct node_changes *changes);
