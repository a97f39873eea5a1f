/*
 * The verbs of nodecryptorctl(1). Each takes the arguments from its own name on and returns the
 * exit status.
 */
#pragma once

/* Every exit status there is, besides EXIT_SUCCESS (0) and EXIT_FAILURE (1). */
#define EXIT_AGREE     0
#define EXIT_DISAGREE  1
#define EXIT_USAGE     2 /* also: the configuration was refused */
#define EXIT_AWAY      3 /* the daemon, or what audit and check need, cannot be asked */
#define EXIT_DIFFERENT 4 /* plan --diff: there is a difference */

int verb_status(int argc, char **argv);
int verb_peers(int argc, char **argv);
int verb_resync(int argc, char **argv);
int verb_observe(int argc, char **argv);
int verb_enforce(int argc, char **argv);
int verb_plan(int argc, char **argv);
int verb_explain(int argc, char **argv);
int verb_audit(int argc, char **argv);
int verb_check(int argc, char **argv);
int verb_wait(int argc, char **argv);
int verb_reload(int argc, char **argv);
int verb_flush(int argc, char **argv);
