/*
 * Bytes that may be secret: keys, tokens, certificates. Their memory is wiped before it is freed,
 * and never grows by realloc(3), which would leave copies behind.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "basics/util.h"

struct blob {
        char *data; /* NUL behind the last byte, not counted; NULL: nothing */
        size_t size;
};

/* The largest file that is taken: a CA bundle of a whole organisation is below it. */
#define BLOB_MAX (1024 * 1024)

/* A copy of the bytes. −ENOMEM. */
int blob_copy(const void *data, size_t size, struct blob *ret);
/*
 * Reads a regular file (through symbolic links) of at most BLOB_MAX bytes.
 * −EFBIG, −EINVAL (not a regular file), else what open(2) or read(2) said.
 */
int blob_read_file(const char *path, struct blob *ret);
/* Standard base64 (RFC 4648 §4), blanks and line breaks passed over. −EINVAL, −EFBIG, −ENOMEM. */
int blob_from_base64(const char *text, size_t length, struct blob *ret);
/* Hands the bytes over: leaves an empty blob behind. */
struct blob blob_take(struct blob *blob);
bool blob_equal(const struct blob *a, const struct blob *b);
void blob_deinit(struct blob *blob);

/* Wipes and frees a NUL-terminated secret; NULL is fine. */
void secret_free(char *text);

static inline void secret_freep(char **text)
{
        secret_free(*text);
}
