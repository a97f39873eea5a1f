/*
 * Small UDP datagrams from a socket of this host's to one destination after the other. The time is
 * that on the processor: it can be interrupted, as the other meters cannot.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "clock.h"
#include "meter.h"

#define BATCH        64u /* datagrams a sendmmsg(2) */
#define DESTINATIONS 65536u
#define PORT         9000

struct sent {
        int fd;
        uint32_t next;
        struct sockaddr_storage destinations[DESTINATIONS];
        struct mmsghdr messages[BATCH];
        struct iovec payload;
};

/* Numbers without an order that the caches could follow, the same ones in every run. */
static uint32_t draw(uint32_t *state)
{
        *state ^= *state << 13;
        *state ^= *state >> 17;
        *state ^= *state << 5;
        return *state;
}

static void set_destination(struct sockaddr_storage *to, const struct address *address)
{
        struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)to;
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)to;

        to->ss_family = address->family;
        if (address->family == AF_INET) {
                v4->sin_port = htons(PORT);
                memcpy(&v4->sin_addr, address->bytes, sizeof(v4->sin_addr));
        } else {
                v6->sin6_port = htons(PORT);
                memcpy(&v6->sin6_addr, address->bytes, sizeof(v6->sin6_addr));
        }
}

static int sent_open(
        const struct course *course, const struct place *place, void **ret, struct error *error)
{
        static char data[32];
        struct sent *sent = calloc(1, sizeof(*sent));
        uint32_t state = 2463534242u;

        if (!sent)
                abort();
        sent->fd = socket(course->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (sent->fd < 0) {
                free(sent);
                return error_set(error, -errno, "socket: %s", strerror(errno));
        }
        for (uint32_t i = 0; i < DESTINATIONS; i++) {
                struct address address = course_address(course, draw(&state) % course->count);

                set_destination(&sent->destinations[i], &address);
        }
        sent->payload = (struct iovec){data, sizeof(data)};
        for (uint32_t i = 0; i < BATCH; i++) {
                sent->messages[i].msg_hdr.msg_iov = &sent->payload;
                sent->messages[i].msg_hdr.msg_iovlen = 1;
        }
        *ret = sent;
        return 0;
}

static int sent_run(void *meter, uint32_t times, struct lap *ret)
{
        struct sent *sent = meter;
        uint64_t begin = clock_cpu_ns();

        while (times > 0) {
                uint32_t n = times < BATCH ? times : BATCH;
                int done;

                for (uint32_t i = 0; i < n; i++) {
                        struct msghdr *header = &sent->messages[i].msg_hdr;

                        header->msg_name = &sent->destinations[sent->next++ % DESTINATIONS];
                        header->msg_namelen = sizeof(struct sockaddr_in6);
                }
                done = sendmmsg(sent->fd, sent->messages, n, 0);
                if (done < 0)
                        return -errno;
                times -= (uint32_t)done;
        }
        *ret = (struct lap){.ns = clock_cpu_ns() - begin};
        return 0;
}

static void sent_close(void *meter)
{
        struct sent *sent = meter;

        close(sent->fd);
        free(sent);
}

const struct meter meter_sent = {"sent", sent_open, sent_run, sent_close};
