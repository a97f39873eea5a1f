/*
 * A credential plugin as a kubeconfig asks for it (users[].user.exec; Kubernetes API
 * client.authentication.k8s.io v1 and v1beta1): what is to be run, and with what.
 */
#pragma once

#include "kube/yaml_tree.h"

#define EXEC_LIST_MAX 256 /* arguments, or variables */

struct exec_config {
        char *api_version;
        char **arguments; /* NULL-terminated; the command first */
        size_t n_arguments;
        char **environment; /* NULL-terminated: "NAME=value"; may be secret */
        size_t n_environment;
        bool provide_cluster_info;
};

/*
 * Reads the mapping. A command with a '/' comes out resolved against `folder`; without one it is
 * looked for in PATH. −EINVAL with words: no command, another apiVersion, a plugin that wants a
 * terminal, a wrong type, too many. −ENOMEM.
 */
int exec_config_read(struct yaml_tree *tree, yaml_node_t *exec, const char *folder,
        struct exec_config **ret, struct error *error);
struct exec_config *exec_config_free(struct exec_config *config);
DEFINE_CLEANUP(struct exec_config *, exec_config_free)
bool exec_config_equal(const struct exec_config *a, const struct exec_config *b);
/* A deep copy; NULL: out of memory. */
struct exec_config *exec_config_copy(const struct exec_config *config);
