/*
 * What a credential plugin is told (KUBERNETES_EXEC_INFO) and what it answers: an ExecCredential of
 * client.authentication.k8s.io v1 or v1beta1.
 */
#pragma once

#include <stdint.h>

#include "kube/blob.h"
#include "kube/kubeconfig.h"

#define EXEC_OUTPUT_MAX ((size_t)512 * 1024)

struct exec_credential {
        char *token;             /* NULL: none */
        struct blob certificate; /* PEM; empty: none */
        struct blob key;
        int64_t expires; /* seconds since 1970; 0: never */
};

/*
 * −EINVAL with words, which never show what stood there: no ExecCredential of that version, no
 * token and no certificate with its key, a wrong type. −ENOMEM.
 */
int exec_credential_parse(const char *text, size_t size, const char *api_version,
        struct exec_credential *ret, struct error *error);
void exec_credential_deinit(struct exec_credential *credential);
/* The text of KUBERNETES_EXEC_INFO; `ca` is the CA bundle in PEM. −ENOMEM. */
int exec_credential_info(const struct kubeconfig *config, const struct blob *ca, char **ret);
