#include "kube/discovery.h"

#include <stdio.h>

static const char *const candidates[] = {
        "/etc/kubernetes/kubelet.conf",                          /* kubeadm, Flatcar */
        "/var/lib/kubelet/kubeconfig",                           /* OpenShift, OKD, EKS, AKS, GKE */
        "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",         /* k3s */
        "/var/lib/rancher/rke2/agent/kubelet.kubeconfig",        /* RKE2 */
        "/etc/kubernetes/ssl/kubecfg-kube-node.yaml",            /* RKE1 */
        "/var/snap/microk8s/current/credentials/kubelet.config", /* MicroK8s */
        "/var/lib/k0s/kubelet.conf",                             /* k0s */
};

const char *const *discovery_candidates(size_t *ret_n)
{
        *ret_n = ARRAY_SIZE(candidates);
        return candidates;
}

int discovery_find(const char *root, struct kubeconfig **ret, struct error *error)
{
        struct error first = {};

        for (size_t i = 0; i < ARRAY_SIZE(candidates); i++) {
                _cleanup_free_ char *path = NULL;
                struct error problem = {};
                int r;

                if (asprintf(&path, "%s%s", root ? root : "", candidates[i]) < 0) {
                        path = NULL;
                        return error_set(error, -ENOMEM, "out of memory");
                }
                r = kubeconfig_load(path, ret, &problem);
                if (r >= 0)
                        return r;
                if (r != -ENOENT && r != -ENOTDIR && r != -EMEDIUMTYPE && first.code == 0)
                        first = problem;
        }
        if (first.code != 0)
                return error_set(error, first.code, "%s", first.text);
        return error_set(error, -ENOENT,
                "no kubeconfig of a kubelet in any of the %zu known places, %s first",
                ARRAY_SIZE(candidates), candidates[0]);
}
