/*
 * Whole files: bounded reading, and writing that leaves either the old file or the new one.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/*
 * Reads a regular file (through symbolic links) of at most `maximum` bytes into fresh memory, with
 * a NUL behind the last byte that *ret_size does not count. The caller frees *ret.
 * −EFBIG: larger. −EINVAL: not a regular file. Otherwise what open(2) or read(2) said.
 */
int file_read(const char *path, size_t maximum, char **ret, size_t *ret_size);

/*
 * Writes the file whole: a temporary file in the same folder, fsync(2), rename(2) over `path`,
 * fsync(2) of the folder. On failure the old file stands and the temporary one is gone.
 */
int file_write_atomic(const char *path, const void *data, size_t size, mode_t mode);

/* The folder part of a path ("." when there is none), in fresh memory; NULL when out of memory. */
char *path_folder(const char *path);
/* `path` if it is absolute, else folder/path, in fresh memory; NULL when out of memory. */
char *path_resolve(const char *folder, const char *path);
