#include "kube/node_list.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "kube/cilium_node.h"
#include "kube/list_decoder.h"

DEFINE_CLEANUP(FILE *, fclose)

struct loading {
        struct cluster *cluster;
        void (*bad)(void *userdata, const char *name, const struct error *error);
        void *userdata;
};

static int on_element(void *userdata, struct json_object *object, const struct error *problem)
{
        struct loading *loading = userdata;
        struct error error = {};
        struct node *node = NULL;
        int r;

        if (problem)
                error = *problem;
        r = problem ? problem->code : cilium_node_decode(object, &node, &error);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                if (loading->bad)
                        loading->bad(loading->userdata, cilium_node_name(object), &error);
                return 0;
        }
        r = cluster_put(loading->cluster, node);
        return r < 0 ? r : 0;
}

static int feed_file(FILE *file, struct list_decoder *decoder)
{
        char buffer[16 * 1024];
        size_t n, total = 0;

        while ((n = fread(buffer, 1, sizeof(buffer), file)) > 0) {
                int r;

                total += n;
                if (total > NODE_LIST_FILE_MAX)
                        return -EFBIG;
                r = list_decoder_feed(decoder, buffer, n);
                if (r < 0)
                        return r;
        }
        if (ferror(file))
                return errno > 0 ? -errno : -EIO;
        return list_decoder_finish(decoder);
}

static int load_error(const char *path, int r, struct error *error)
{
        switch (r) {
        case -EBADMSG:
        case -E2BIG: return error_set(error, -EINVAL, "%s: not a JSON list of objects", path);
        case -ENODATA: return error_set(error, -EINVAL, "%s: the list is cut off", path);
        default: return error_set(error, r, "%s: %s", path, strerror(-r));
        }
}

int node_list_load(const char *path,
        void (*bad)(void *userdata, const char *name, const struct error *error), void *userdata,
        struct cluster **ret, struct error *error)
{
        _cleanup_(cluster_freep) struct cluster *cluster = cluster_new();
        _cleanup_(list_decoder_deinit) struct list_decoder decoder = {};
        struct loading loading = {.cluster = cluster, .bad = bad, .userdata = userdata};
        _cleanup_(fclosep) FILE *file = fopen(path, "re");
        int r;

        if (!file)
                return load_error(path, -errno, error);
        if (!cluster)
                return load_error(path, -ENOMEM, error);
        list_decoder_init(&decoder, 0, on_element, &loading);
        r = feed_file(file, &decoder);
        if (r >= 0 && decoder.version)
                r = cluster_set_version(cluster, decoder.version);
        if (r < 0)
                return load_error(path, r, error);
        *ret = TAKE_PTR(cluster);
        return 0;
}
