#include "store/snapshot.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "basics/fileio.h"
#include "basics/text.h"
#include "store/json.h"
#include "store/snapshot_json.h"

#define DIGEST_TEXT 65  /* SHA-256 in hexadecimal, and the NUL */
#define HEAD_MAX    256 /* bytes of the first line */

int identity_copy(const struct identity *identity, struct identity *ret)
{
        struct identity copy = {};

        if (text_replace(&copy.server, identity->server) < 0 ||
                text_replace(&copy.ca_sha256, identity->ca_sha256) < 0) {
                identity_deinit(&copy);
                return -ENOMEM;
        }
        *ret = copy;
        return 0;
}

void identity_deinit(struct identity *identity)
{
        free(identity->server);
        free(identity->ca_sha256);
        *identity = (struct identity){};
}

/* True when both are known and differ. */
static bool proven_different(const char *a, const char *b)
{
        return a && b && strcmp(a, b) != 0;
}

/* Agents of k3s and RKE2 all have their server at 127.0.0.1: it tells no cluster from another. */
static bool is_loopback(const char *server)
{
        static const char *const loopback[] = {"://127.", "://localhost", "://[::1]"};

        for (size_t i = 0; server && i < ARRAY_SIZE(loopback); i++)
                if (strstr(server, loopback[i]))
                        return true;
        return false;
}

bool identity_same(const struct identity *a, const struct identity *b)
{
        if (!proven_different(a->ca_sha256, b->ca_sha256))
                return true;
        return !proven_different(a->server, b->server) && !is_loopback(a->server) &&
               !is_loopback(b->server);
}

void snapshot_deinit(struct snapshot *snapshot)
{
        identity_deinit(&snapshot->identity);
        endpoint_deinit(&snapshot->endpoint);
        cluster_free(snapshot->cluster);
        free(snapshot->node_name);
        *snapshot = (struct snapshot){};
}

static int digest(const char *data, size_t size, char ret[static DIGEST_TEXT])
{
        unsigned char bytes[EVP_MAX_MD_SIZE];
        size_t n = 0;

        if (EVP_Q_digest(NULL, "SHA256", NULL, data, size, bytes, &n) != 1 ||
                n * 2 + 1 != DIGEST_TEXT)
                return -EOPNOTSUPP;
        for (size_t i = 0; i < n; i++)
                snprintf(ret + i * 2, 3, "%02x", bytes[i]);
        return 0;
}

/* What is written is what could be read again: anything else would be lost at the next start. */
static int encode_checked(
        const struct snapshot *snapshot, char **ret, size_t *ret_size, struct error *error)
{
        _cleanup_(snapshot_deinit) struct snapshot check = {};
        _cleanup_free_ char *payload = NULL;
        size_t size = 0;
        int r;

        r = snapshot_encode(snapshot, &payload, &size);
        if (r < 0)
                return error_set(error, r, "out of memory");
        if (size > SNAPSHOT_SIZE_MAX - HEAD_MAX - 2)
                return error_set(error, -E2BIG, "larger than %d bytes", SNAPSHOT_SIZE_MAX);
        r = snapshot_decode(payload, size, &check, error);
        if (r < 0)
                return r == -EBADMSG ? -EINVAL : r;
        *ret = TAKE_PTR(payload);
        *ret_size = size;
        return 0;
}

static int write_payload(const char *path, const char *payload, size_t size, struct error *error)
{
        _cleanup_free_ char *file = NULL;
        char sha256[DIGEST_TEXT];
        int length, r;

        r = digest(payload, size, sha256);
        if (r < 0)
                return error_set(error, r, "libcrypto has no SHA-256");
        length = asprintf(
                &file, "{\"format\":%d,\"sha256\":\"%s\"}\n%s\n", SNAPSHOT_FORMAT, sha256, payload);
        if (length < 0) {
                file = NULL;
                return error_set(error, -ENOMEM, "out of memory");
        }
        r = file_write_atomic(path, file, (size_t)length, 0600);
        return r < 0 ? error_set(error, r, "%s", strerror(-r)) : 0;
}

int snapshot_write(const char *path, const struct snapshot *snapshot, struct error *error)
{
        _cleanup_free_ char *payload = NULL;
        size_t size = 0;
        int r;

        r = encode_checked(snapshot, &payload, &size, error);
        if (r >= 0)
                r = write_payload(path, payload, size, error);
        if (r < 0)
                error_prefix(error, "%s", path);
        return r;
}

/* Checks head and checksum; the payload then lies between *ret and *ret + *ret_size. */
static int open_payload(
        const char *file, size_t size, const char **ret, size_t *ret_size, struct error *error)
{
        const char *end = memchr(file, '\n', size < HEAD_MAX ? size : HEAD_MAX), *wanted;
        _cleanup_(json_putp) json_object *head = NULL;
        char sha256[DIGEST_TEXT];
        int64_t format;

        head = end ? json_parse(file, (size_t)(end - file)) : NULL;
        if (!head || !json_number(head, "format", 0, INT32_MAX, &format))
                return error_set(error, -EBADMSG, "damaged: no head");
        if (format != SNAPSHOT_FORMAT)
                return error_set(error, -EPROTONOSUPPORT, "of format %d, not %d", (int)format,
                        SNAPSHOT_FORMAT);
        if (file[size - 1] != '\n' || end + 1 >= file + size)
                return error_set(error, -EBADMSG, "damaged: cut short");
        size -= (size_t)(end + 1 - file) + 1;
        wanted = json_text(json_member(head, "sha256", json_type_string), DIGEST_TEXT);
        if (digest(end + 1, size, sha256) < 0)
                return error_set(error, -EOPNOTSUPP, "libcrypto has no SHA-256");
        if (!wanted || strcmp(wanted, sha256) != 0)
                return error_set(error, -EBADMSG, "damaged: the checksum differs");
        *ret = end + 1;
        *ret_size = size;
        return 0;
}

static int read_file(const char *path, struct snapshot *ret, struct error *error)
{
        _cleanup_free_ char *file = NULL;
        const char *payload = NULL;
        size_t size = 0;
        int r;

        r = file_read(path, SNAPSHOT_SIZE_MAX, &file, &size);
        if (r == -EFBIG || r == -EINVAL)
                return error_set(error, -EBADMSG, "too large, or not a regular file");
        if (r < 0)
                return error_set(error, r, "%s", strerror(-r));
        r = open_payload(file, size, &payload, &size, error);
        return r < 0 ? r : snapshot_decode(payload, size, ret, error);
}

int snapshot_read(const char *path, struct snapshot *ret, struct error *error)
{
        int r = read_file(path, ret, error);

        if (r < 0)
                error_prefix(error, "%s", path);
        return r;
}

int snapshot_set_aside(const char *path)
{
        _cleanup_free_ char *aside = NULL;

        if (asprintf(&aside, "%s.bad", path) < 0) {
                aside = NULL;
                return -ENOMEM;
        }
        return rename(path, aside) < 0 ? -errno : 0;
}
