#include "kube/blob.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>

int blob_copy(const void *data, size_t size, struct blob *ret)
{
        char *copy = malloc(size + 1);

        if (!copy)
                return -ENOMEM;
        if (size > 0)
                memcpy(copy, data, size);
        copy[size] = '\0';
        *ret = (struct blob){.data = copy, .size = size};
        return 0;
}

/* One byte more than the file had tells a file that grew meanwhile from a whole one. */
static int read_exactly(int fd, size_t room, struct blob *blob)
{
        while (blob->size <= room) {
                ssize_t n = read(fd, blob->data + blob->size, room + 1 - blob->size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0) {
                        blob->data[blob->size] = '\0';
                        return 0;
                }
                blob->size += (size_t)n;
        }
        return -EAGAIN;
}

int blob_read_file(const char *path, struct blob *ret)
{
        _cleanup_close_ int fd = -1;
        _cleanup_(blob_deinit) struct blob blob = {};
        struct stat status;
        int r;

        /* O_NONBLOCK: a FIFO in the file's place must not hang the event loop. */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 || fstat(fd, &status) < 0)
                return -errno;
        if (!S_ISREG(status.st_mode))
                return -EINVAL;
        if (status.st_size > BLOB_MAX)
                return -EFBIG;
        blob.data = malloc((size_t)status.st_size + 2);
        if (!blob.data)
                return -ENOMEM;
        r = read_exactly(fd, (size_t)status.st_size, &blob);
        if (r < 0)
                return r;
        *ret = blob_take(&blob);
        return 0;
}

/* Copies the base64 characters alone; false when there is another one. */
static bool squeeze_base64(const char *text, size_t length, struct blob *into)
{
        for (size_t i = 0; i < length; i++) {
                char c = text[i];

                if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
                        continue;
                if (!c || (!strchr("+/=", c) && !(c >= '0' && c <= '9') &&
                                  !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z')))
                        return false;
                into->data[into->size++] = c;
        }
        into->data[into->size] = '\0';
        return true;
}

int blob_from_base64(const char *text, size_t length, struct blob *ret)
{
        _cleanup_(blob_deinit) struct blob squeezed = {}, decoded = {};
        size_t padding = 0;
        int n;

        if (length > BLOB_MAX * 2)
                return -EFBIG;
        squeezed.data = malloc(length + 1);
        decoded.data = malloc(length + 1);
        if (!squeezed.data || !decoded.data)
                return -ENOMEM;
        if (!squeeze_base64(text, length, &squeezed) || squeezed.size % 4 != 0)
                return -EINVAL;
        while (padding < 2 && padding < squeezed.size &&
                squeezed.data[squeezed.size - 1 - padding] == '=')
                padding++;
        if (memchr(squeezed.data, '=', squeezed.size - padding))
                return -EINVAL;
        n = EVP_DecodeBlock((unsigned char *)decoded.data, (const unsigned char *)squeezed.data,
                (int)squeezed.size);
        if (n < 0 || (size_t)n < padding)
                return -EINVAL;
        decoded.size = (size_t)n - padding;
        decoded.data[decoded.size] = '\0';
        *ret = blob_take(&decoded);
        return 0;
}

struct blob blob_take(struct blob *blob)
{
        struct blob taken = *blob;

        *blob = (struct blob){};
        return taken;
}

bool blob_equal(const struct blob *a, const struct blob *b)
{
        if (!a->data || !b->data)
                return a->data == b->data;
        return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

void blob_deinit(struct blob *blob)
{
        if (blob->data)
                OPENSSL_cleanse(blob->data, blob->size);
        free(blob->data);
        *blob = (struct blob){};
}

void secret_free(char *text)
{
        if (text)
                OPENSSL_cleanse(text, strlen(text));
        free(text);
}
