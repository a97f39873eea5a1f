/*
 * The verbs of nodecryptorctl(1). Each takes the arguments from its own name on and returns the
 * exit status.
 */
#pragma once

#define EXIT_AGREE    0
#define EXIT_DISAGREE 1
#define EXIT_USAGE    2

int verb_plan(int argc, char **argv);
int verb_explain(int argc, char **argv);
int verb_wait(int argc, char **argv);
int verb_reload(int argc, char **argv);
int verb_flush(int argc, char **argv);
