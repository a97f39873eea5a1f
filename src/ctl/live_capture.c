#include "ctl/live_capture.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* Enough for every header that is looked at. */
#define SNAP        192
/* Bytes a socket, for what has not been read yet. */
#define ROOM        (16 << 20)
#define BATCH       64
#define BATCHES_MAX 64 /* in a row from one socket */

struct port {
        int fd;
        bool wireguard;
        uint64_t lost;
};

struct live_capture {
        struct port *ports;
        struct pollfd *polls;
        size_t n;
        uint8_t data[BATCH][SNAP];
        struct sockaddr_ll senders[BATCH];
        struct iovec places[BATCH];
        struct mmsghdr messages[BATCH];
};

/*
 * Takes UDP from and to WireGuard's port, or all the rest of IP and ARP; not what a promiscuous
 * link sees of others. On a SOCK_DGRAM socket offset 0 is the network header.
 */
static int attach_filter(int fd, uint16_t port, bool wireguard)
{
        uint32_t match = wireguard ? SNAP : 0, other = wireguard ? 0 : SNAP;
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OTHERHOST, 21, 0),
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PROTOCOL)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_ARP, 18, 0),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 10, 0),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 17),
                /* IPv4: UDP, not a later fragment */
                BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 14),
                BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6),
                BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 12, 0),
                BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
                BPF_STMT(BPF_LD | BPF_H | BPF_IND, 0),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 8, 0),
                BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 6, 7),
                /* IPv6: UDP without extension headers */
                BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 5),
                BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 40),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 2, 0),
                BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 42),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, match),
                BPF_STMT(BPF_RET | BPF_K, other),
                BPF_STMT(BPF_RET | BPF_K, 0),
        };
        const struct sock_fprog program = {.len = ARRAY_SIZE(code), .filter = code};

        return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno
                                                                                           : 0;
}

static void enlarge(int fd)
{
        int room = ROOM;

        /* Without CAP_NET_ADMIN as much as everybody may have; what is lost is counted. */
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
                (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
}

/* Deaf until it is bound, so that nothing comes in unfiltered or from another link. */
static int open_port(uint32_t link, uint16_t port, bool wireguard, struct port *ret)
{
        const struct sockaddr_ll address = {
                .sll_family = AF_PACKET,
                .sll_protocol = htons(ETH_P_ALL),
                .sll_ifindex = (int)link,
        };
        _cleanup_close_ int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int r;

        if (fd < 0)
                return -errno;
        r = attach_filter(fd, port, wireguard);
        if (r < 0)
                return r;
        enlarge(fd);
        if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        *ret = (struct port){.fd = TAKE_FD(fd), .wireguard = wireguard};
        return 0;
}

static void prepare_messages(struct live_capture *capture)
{
        for (size_t i = 0; i < BATCH; i++) {
                capture->places[i] = (struct iovec){capture->data[i], SNAP};
                capture->messages[i].msg_hdr = (struct msghdr){
                        .msg_name = &capture->senders[i],
                        .msg_namelen = sizeof(capture->senders[i]),
                        .msg_iov = &capture->places[i],
                        .msg_iovlen = 1,
                };
        }
}

int live_capture_new(const uint32_t *links, size_t n, uint16_t port, struct live_capture **ret,
        struct error *error)
{
        _cleanup_(live_capture_freep) struct live_capture *capture = calloc(1, sizeof(*capture));
        int r;

        if (capture) {
                capture->ports = calloc(2 * n + 1, sizeof(*capture->ports));
                capture->polls = calloc(2 * n + 1, sizeof(*capture->polls));
        }
        if (!capture || !capture->ports || !capture->polls)
                return error_set(error, -ENOMEM, "out of memory");
        for (size_t i = 0; i < 2 * n; i++) {
                r = open_port(links[i / 2], port, i % 2, &capture->ports[i]);
                if (r < 0)
                        return error_set(error, r, "a packet socket: %s%s", strerror(-r),
                                r == -EPERM ? " (it needs CAP_NET_RAW)" : "");
                capture->polls[i] = (struct pollfd){.fd = capture->ports[i].fd, .events = POLLIN};
                capture->n++;
        }
        *ret = TAKE_PTR(capture);
        return 0;
}

struct live_capture *live_capture_free(struct live_capture *capture)
{
        if (!capture)
                return NULL;
        for (size_t i = 0; i < capture->n; i++)
                close(capture->ports[i].fd);
        free(capture->ports);
        free(capture->polls);
        free(capture);
        return NULL;
}

static int hand_over(
        struct live_capture *capture, int n, live_frame_handler handler, void *userdata)
{
        for (int i = 0; i < n; i++) {
                const struct sockaddr_ll *sender = &capture->senders[i];
                const struct live_frame frame = {
                        .data = capture->data[i],
                        .size = capture->messages[i].msg_len,
                        .ethertype = ntohs(sender->sll_protocol),
                        .outgoing = sender->sll_pkttype == PACKET_OUTGOING,
                };
                int r = handler(&frame, userdata);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* A flood on one socket does not keep the others waiting for ever. */
static int drain(struct live_capture *capture, int fd, live_frame_handler handler, void *userdata)
{
        for (unsigned i = 0; i < BATCHES_MAX; i++) {
                int n, r;

                prepare_messages(capture);
                n = recvmmsg(fd, capture->messages, BATCH, MSG_DONTWAIT, NULL);
                if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENETDOWN))
                        return 0;
                if (n < 0)
                        return -errno;
                r = hand_over(capture, n, handler, userdata);
                if (r < 0 || n < BATCH)
                        return r;
        }
        return 0;
}

int live_capture_read(
        struct live_capture *capture, int timeout, live_frame_handler handler, void *userdata)
{
        int r = poll(capture->polls, capture->n, timeout);

        if (r < 0)
                return -errno;
        r = 0;
        for (size_t i = 0; r >= 0 && i < capture->n; i++)
                if (capture->polls[i].revents)
                        r = drain(capture, capture->ports[i].fd, handler, userdata);
        return r;
}

void live_capture_lost(struct live_capture *capture, uint64_t *ret_wireguard, uint64_t *ret_other)
{
        uint64_t lost[2] = {0, 0};

        for (size_t i = 0; i < capture->n; i++) {
                struct tpacket_stats stats = {};
                socklen_t size = sizeof(stats);

                /* The kernel counts from the last time on. */
                if (getsockopt(capture->ports[i].fd, SOL_PACKET, PACKET_STATISTICS, &stats,
                            &size) >= 0)
                        capture->ports[i].lost += stats.tp_drops;
                lost[capture->ports[i].wireguard] += capture->ports[i].lost;
        }
        *ret_wireguard = lost[true];
        *ret_other = lost[false];
}
