/*
 * The daemon's reconciler in the namespace of a test, run by hand: what it is given are worlds.
 */
#pragma once

#include "basics/error.h"
#include "world.h"

/* A fresh namespace with world_host(), and a state directory, until convergence_end(). */
void convergence_begin(void);
void convergence_end(void);

/* The device up or down; down takes its routes away. */
void set_device(bool up);

/*
 * One reconcile of a daemon that has just started, with the settings of one world and the nodes of
 * another; `complete` as in struct reconcile_input. What reconciler_run() returned, and its error.
 */
int try_reconcile(const struct world *settings, const struct world *nodes, bool complete,
        struct error *ret_error);
/* The same; it must bring the kernel in step. */
void reconcile(const struct world *settings, const struct world *nodes, bool complete);

/* Fails the test unless the kernel holds what `world` wants, and nothing in `other`'s layout. */
void check_converged(const struct world *world, const struct world *other);
/* What the world wants, and what its layout's places hold, both sorted, for the caller to free. */
void convergence_read(const struct world *world, struct fib *ret_wanted, struct fib *ret_actual);
