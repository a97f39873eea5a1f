/*
 * What the client needs to know of certificates and keys (PEM, by OpenSSL): whether they are what
 * they should be, whether they belong together, and whose they are.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kube/blob.h"

/* The first certificate of a PEM: the client's own. */
struct pem_identity {
        int64_t expires; /* seconds since 1970 */
        char common_name[256];
};

/* Counts the certificates. −EINVAL: none, or one that is broken. */
int pem_check_authorities(const struct blob *pem, size_t *ret_n);
/*
 * Reads the first certificate of one PEM and the private key of another (which may be the same),
 * and compares them. −EBADMSG: no certificate. −ENODATA: no private key, or an encrypted one.
 * −EKEYREJECTED: they are no pair.
 */
int pem_check_pair(
        const struct blob *certificate, const struct blob *key, struct pem_identity *ret);
/* SHA-256 in lower-case hex, 64 characters and the NUL. −EIO. */
int pem_sha256(const struct blob *data, char ret[static 65]);
