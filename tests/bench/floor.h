/*
 * The floor under every program that writes rules and routes: messages that lie ready in memory, in
 * sends as large as serves, an acknowledgement for the last of each send. Nothing is computed, read
 * or compared; the time is the kernel's.
 */
#pragma once

#include "policy/fib.h"

struct floor;

enum floor_verb { FLOOR_WRITE, FLOOR_DELETE };

/* In the network namespace of now. NULL: errno says why not. */
struct floor *floor_new(void);
void floor_free(struct floor *floor);
/* Encodes everything in `fib` in place of what was loaded before. −ENOMEM. */
int floor_load(struct floor *floor, const struct fib *fib, enum floor_verb verb);
/* Sends it; 0, or the first error of the kernel as a negative errno: the rest is done all the same.
 */
int floor_send(struct floor *floor);
/* Messages that are loaded. */
size_t floor_messages(const struct floor *floor);
