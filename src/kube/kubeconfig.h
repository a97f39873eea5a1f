/*
 * A kubeconfig (clientcmd.k8s.io v1 Config), as far as one client needs it: the cluster and the
 * user that current-context names. The files it refers to are not read here (kube/credential.h).
 */
#pragma once

#include <stdbool.h>

#include "basics/error.h"
#include "basics/util.h"
#include "kube/blob.h"
#include "kube/exec_config.h"
#include "kube/server_url.h"

struct kubeconfig {
        char *path; /* the kubeconfig's own */

        struct server_url server;
        char *ca_path;  /* certificate-authority; NULL when there is ca */
        struct blob ca; /* certificate-authority-data, decoded: it beats the path */
        char *tls_server_name;
        bool insecure_skip_tls_verify;
        char *proxy_url;
        bool disable_compression;

        char *certificate_path;
        struct blob certificate;
        char *key_path;
        struct blob key;
        char *token;
        char *token_path;         /* tokenFile: it beats the token */
        struct exec_config *exec; /* a credential plugin; NULL: none */
};

/*
 * Reads and parses the file. Relative paths come out resolved against its folder.
 * −EMEDIUMTYPE: well-formed, but its kind is not Config (OpenShift keeps a KubeletConfiguration
 * at /etc/kubernetes/kubelet.conf). −EINVAL: not a usable kubeconfig. Otherwise what reading it
 * said (−ENOENT, −EACCES, −EFBIG …). The error names the file, and the key and line if it can.
 */
int kubeconfig_load(const char *path, struct kubeconfig **ret, struct error *error);
/* The same from memory; `path` is for errors and for resolving only. */
int kubeconfig_parse(const char *path, const char *text, size_t size, struct kubeconfig **ret,
        struct error *error);
struct kubeconfig *kubeconfig_free(struct kubeconfig *kubeconfig);
DEFINE_CLEANUP(struct kubeconfig *, kubeconfig_free)
