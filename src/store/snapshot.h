/*
 * The last-known-good nodes on disk: what is enforced after a reboot before anything else is known.
 *
 * The file is two lines: a head {"format":1,"sha256":"…"} and the payload, one compact JSON object,
 * whose bytes (the line feed not among them) the SHA-256 covers. It is written whole (temporary
 * file, fsync, rename), mode 0600. The checksum finds damage, not malice: every value is validated
 * again when it is read, in the same bounds in which kube/ takes objects from the API.
 */
#pragma once

#include "basics/error.h"
#include "model/cluster.h"
#include "model/endpoint.h"

#define SNAPSHOT_FILE     "snapshot.json" /* in the state directory */
#define SNAPSHOT_FORMAT   1
#define SNAPSHOT_SIZE_MAX (64 * 1024 * 1024) /* bytes */

/* Which cluster: where its API is, and the SHA-256 of its CA certificates. NULL: not known. */
struct identity {
        char *server;    /* the kubeconfig's server URL */
        char *ca_sha256; /* 64 lower case hexadecimal digits */
};

int identity_copy(const struct identity *identity, struct identity *ret);
void identity_deinit(struct identity *identity);
/*
 * The same cluster, if the CA or the server is the same: a rotated CA at the same endpoint, or an
 * endpoint that moved under the same CA, is still the same cluster. What is unknown on either side
 * proves no difference: another cluster only if both are known on both sides and differ. A server
 * at a loopback address tells nothing: then the CA alone counts.
 */
bool identity_same(const struct identity *a, const struct identity *b);

struct snapshot {
        struct identity identity;
        char *node_name; /* NULL: was not known */
        struct endpoint endpoint;
        struct cluster *cluster; /* never NULL after snapshot_read() */
        uint64_t saved_at;       /* unix time, s */
};

void snapshot_deinit(struct snapshot *snapshot);

/*
 * −EINVAL: a value that could not be read again (the text says which). −E2BIG: too large for that.
 * −ENOMEM, or what file_write_atomic() returns. The old file stands then.
 */
int snapshot_write(const char *path, const struct snapshot *snapshot, struct error *error);

/*
 * −ENOENT: there is none. −EBADMSG: damaged, or a value in it is not acceptable (the text says
 * which): set it aside. −EPROTONOSUPPORT: another format, of an older or newer version. Otherwise
 * what file_read() returns.
 */
int snapshot_read(const char *path, struct snapshot *ret, struct error *error);

/* Renames to PATH.bad, over an earlier one. */
int snapshot_set_aside(const char *path);
