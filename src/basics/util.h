/*
 * Small language helpers: cleanup attributes, ownership transfer, array sizes.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))
#define _printf_(a, b)      __attribute__((format(printf, a, b)))
#define _must_check_        __attribute__((warn_unused_result))

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Hands the pointer over: yields it and leaves NULL behind, so that a cleanup attribute spares it.
 */
#define TAKE_PTR(pointer)                                     \
        ({                                                    \
                __typeof__(pointer) *_take_from = &(pointer); \
                __typeof__(pointer) _taken = *_take_from;     \
                *_take_from = NULL;                           \
                _taken;                                       \
        })

#define TAKE_FD(fd)                       \
        ({                                \
                int *_take_from = &(fd);  \
                int _taken = *_take_from; \
                *_take_from = -1;         \
                _taken;                   \
        })

/* Defines NAMEp() for _cleanup_(): calls FUNCTION on a pointer variable that is not NULL. */
#define DEFINE_CLEANUP(type, function)                \
        static inline void function##p(type *pointer) \
        {                                             \
                if (*pointer)                         \
                        function(*pointer);           \
        }

static inline void freep(void *pointer)
{
        free(*(void **)pointer);
}

static inline void closep(int *fd)
{
        if (*fd >= 0)
                close(*fd);
}

#define _cleanup_free_  _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
