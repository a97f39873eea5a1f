/*
 * Reads what the preflight judges: the kernel, the files of other programs, the API server. Nothing
 * is changed. What cannot be read stays unknown.
 */
#pragma once

#include "ctl/check_facts.h"

/*
 * The files below `root` ("" for the host's) and /proc. Fills its part of *facts. −ENOMEM.
 */
int check_read_files(const char *root, struct check_facts *facts);
/* The kernel's: links, rules, routes, rp_filter, the clock. The error has the words. */
int check_read_kernel(struct check_facts *facts, struct error *error);
/*
 * Finds the kubeconfig (`root` as in kube/discovery.h), reads its credential, and asks for one
 * CiliumNode; takes ten seconds at most beside the name's resolution. −ENOMEM.
 */
int check_read_api(struct api_facts *facts, const char *kubeconfig, const char *root);
