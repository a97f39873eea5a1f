/*
 * The credential: what a kubeconfig and the files it names come to, in memory, checked. It is read
 * whole and never changed afterwards; a rotation makes a new one, while a request under way still
 * holds the old one: references are counted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kube/blob.h"
#include "kube/exec_credential.h"
#include "kube/kubeconfig.h"
#include "kube/server_url.h"

#define CREDENTIAL_HASH_TEXT 65

struct credential {
        unsigned references;
        char *kubeconfig_path;
        struct server_url server;
        struct blob ca; /* PEM; empty: the system's authorities */
        /* SHA-256 of the CA bundle in hex, "" without one: with server.text the cluster's identity.
         */
        char ca_sha256[CREDENTIAL_HASH_TEXT];
        bool insecure_skip_tls_verify;
        char *tls_server_name; /* NULL: the server's host */
        char *proxy_url;       /* NULL: none, whatever the environment says */
        bool disable_compression;

        struct blob certificate; /* PEM, may hold the key and intermediates too; empty: none */
        struct blob key;         /* PEM; empty: none */
        int64_t expires; /* end of the certificate's validity, seconds since 1970; 0: none */
        char *node_name; /* of the subject's CN "system:node:NAME"; NULL: not such a one */
        char *token;     /* NULL: none */

        char **paths; /* every file that took part, the kubeconfig first */
        size_t n_paths;
};

/*
 * Reads the files that the kubeconfig names and checks them: the CA bundle holds a certificate;
 * certificate and key are a pair. The error names the file, never its content.
 * `plugin` is what the kubeconfig's credential plugin has answered; NULL: it has none, or has not
 * answered yet (−EAGAIN). What it gives stands above what the kubeconfig has.
 * −ENOKEY: neither certificate nor token.
 * −EKEYREJECTED: certificate and key are no pair. −EINVAL: a file is not what it should be.
 * −EFBIG, −ENOENT, −EACCES …: reading one failed. The list of paths is of use even then:
 * credential_paths() below.
 */
int credential_load(const struct kubeconfig *kubeconfig, const struct exec_credential *plugin,
        struct credential **ret, struct error *error);
/* One more reference; returns the credential. NULL is fine. */
const struct credential *credential_ref(const struct credential *credential);
/* One less; the last one wipes and frees it. Returns NULL. */
const struct credential *credential_unref(const struct credential *credential);
DEFINE_CLEANUP(struct credential *, credential_unref)

/* True when the two would make the same requests to the same server. */
bool credential_equal(const struct credential *a, const struct credential *b);
/* True when both speak to the same cluster: server URL and CA bundle are the same. */
bool credential_same_cluster(const struct credential *a, const struct credential *b);

/*
 * The files that the kubeconfig names, itself first: at most 5 borrowed pointers, the array closed
 * by NULL.
 */
void credential_paths(const struct kubeconfig *kubeconfig, const char *ret[static 6]);
