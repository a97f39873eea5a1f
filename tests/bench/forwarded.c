/*
 * UDP packets of a pod that this host forwards. They come from an XDP program that is run with live
 * frames (Linux 5.18): the kernel takes each frame as received by BENCH_PODS. That costs a tenth of
 * what a second socket and a veth would, so that the forwarding is what is seen.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "bpf.h"
#include "meter.h"

#define LIVE_FRAMES (1u << 1) /* BPF_F_TEST_XDP_LIVE_FRAMES */
#define MAC_SIZE    6
#define ETHERNET    14
#define PAYLOAD     32
#define HOP_LIMIT   64

struct frame {
        uint8_t data[ETHERNET + sizeof(struct ip6_hdr) + sizeof(struct udphdr) + PAYLOAD];
        uint32_t size;
};

struct forwarded {
        int program;
        uint32_t ifindex;
        struct frame frame;
};

static int read_mac(uint8_t ret[static MAC_SIZE], struct error *error)
{
        _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct ifreq request = {.ifr_name = BENCH_PODS};

        if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request) < 0)
                return error_set(error, -errno, BENCH_PODS ": %s", strerror(errno));
        memcpy(ret, request.ifr_hwaddr.sa_data, MAC_SIZE);
        return 0;
}

static void put_ipv4(uint8_t *data, const struct address *from, const struct address *to)
{
        struct iphdr header = {
                .version = 4,
                .ihl = 5,
                .ttl = HOP_LIMIT,
                .protocol = IPPROTO_UDP,
                .tot_len = htons(sizeof(header) + sizeof(struct udphdr) + PAYLOAD),
        };

        memcpy(&header.saddr, from->bytes, sizeof(header.saddr));
        memcpy(&header.daddr, to->bytes, sizeof(header.daddr));
        memcpy(data, &header, sizeof(header));
}

static void put_ipv6(uint8_t *data, const struct address *from, const struct address *to)
{
        struct ip6_hdr header = {
                .ip6_flow = htonl(6u << 28),
                .ip6_plen = htons(sizeof(struct udphdr) + PAYLOAD),
                .ip6_nxt = IPPROTO_UDP,
                .ip6_hops = HOP_LIMIT,
        };

        memcpy(&header.ip6_src, from->bytes, sizeof(header.ip6_src));
        memcpy(&header.ip6_dst, to->bytes, sizeof(header.ip6_dst));
        memcpy(data, &header, sizeof(header));
}

static void frame_fill(struct frame *frame, const struct course *course, const struct place *place,
        const uint8_t mac[static MAC_SIZE])
{
        struct address from = bench_pod_address(course->family, place->self, 9);
        struct address to = course_address(course, 0);
        bool v4 = course->family == AF_INET;
        uint16_t type = htons(v4 ? 0x0800 : 0x86dd);
        struct udphdr udp = {
                .source = htons(40000),
                .dest = htons(9000),
                .len = htons(sizeof(udp) + PAYLOAD),
        };
        size_t header = v4 ? sizeof(struct iphdr) : sizeof(struct ip6_hdr);

        *frame = (struct frame){};
        memcpy(frame->data, mac, MAC_SIZE);
        memcpy(frame->data + ETHERNET - sizeof(type), &type, sizeof(type));
        if (v4)
                put_ipv4(frame->data + ETHERNET, &from, &to);
        else
                put_ipv6(frame->data + ETHERNET, &from, &to);
        memcpy(frame->data + ETHERNET + header, &udp, sizeof(udp));
        frame->size = (uint32_t)(ETHERNET + header + sizeof(udp) + PAYLOAD);
}

/* The sum of the IPv4 header's words without destination and checksum. */
static uint32_t header_sum(const uint8_t *header)
{
        uint32_t sum = 0;

        for (size_t i = 0; i < offsetof(struct iphdr, daddr); i += 2)
                if (i != offsetof(struct iphdr, check))
                        sum += (uint32_t)(header[i] << 8 | header[i + 1]);
        return sum;
}

/* The checksum of the header, whose destination is in r0 (host order), into the frame at r6. */
static void write_checksum(struct bpf_code *code, uint32_t sum)
{
        bpf_copy(code, BPF_REG_1, BPF_REG_0);
        bpf_put(code, BPF_ALU | BPF_RSH | BPF_K, BPF_REG_1, 0, 0, 16);
        bpf_copy(code, BPF_REG_2, BPF_REG_0);
        bpf_put(code, BPF_ALU | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff);
        bpf_put(code, BPF_ALU | BPF_ADD | BPF_X, BPF_REG_1, BPF_REG_2, 0, 0);
        bpf_add(code, BPF_ALU, BPF_REG_1, (int32_t)sum);
        for (int i = 0; i < 2; i++) {
                bpf_copy(code, BPF_REG_2, BPF_REG_1);
                bpf_put(code, BPF_ALU | BPF_RSH | BPF_K, BPF_REG_2, 0, 0, 16);
                bpf_put(code, BPF_ALU | BPF_AND | BPF_K, BPF_REG_1, 0, 0, 0xffff);
                bpf_put(code, BPF_ALU | BPF_ADD | BPF_X, BPF_REG_1, BPF_REG_2, 0, 0);
        }
        bpf_put(code, BPF_ALU | BPF_XOR | BPF_K, BPF_REG_1, 0, 0, 0xffff);
        bpf_put(code, BPF_ALU | BPF_END | BPF_TO_BE, BPF_REG_1, 0, 0, 16);
        bpf_put(code, BPF_STX | BPF_MEM | BPF_H, BPF_REG_6, BPF_REG_1,
                ETHERNET + offsetof(struct iphdr, check), 0);
}

/* Frames come back as forwarding has left them: every field it changes is written again. */
static void write_program(
        struct bpf_code *code, const struct course *course, const struct frame *frame)
{
        bool v4 = course->family == AF_INET;
        size_t destination = v4 ? offsetof(struct iphdr, daddr) : offsetof(struct ip6_hdr, ip6_dst);
        size_t hops = v4 ? offsetof(struct iphdr, ttl) : offsetof(struct ip6_hdr, ip6_hops);
        uint32_t mac_begin;
        uint16_t mac_end;

        memcpy(&mac_begin, frame->data, sizeof(mac_begin));
        memcpy(&mac_end, frame->data + sizeof(mac_begin), sizeof(mac_end));
        bpf_put(code, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_6, BPF_REG_1,
                offsetof(struct xdp_md, data), 0);
        bpf_put(code, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_7, BPF_REG_1,
                offsetof(struct xdp_md, data_end), 0);
        bpf_copy(code, BPF_REG_2, BPF_REG_6);
        bpf_add(code, BPF_ALU64, BPF_REG_2, (int32_t)frame->size);
        bpf_put(code, BPF_JMP | BPF_JLE | BPF_X, BPF_REG_2, BPF_REG_7, 2, 0);
        bpf_set(code, BPF_REG_0, XDP_ABORTED);
        bpf_exit(code);
        bpf_draw(code, course);
        bpf_store(code, BPF_W, BPF_REG_6, 0, (int32_t)mac_begin);
        bpf_store(code, BPF_H, BPF_REG_6, sizeof(mac_begin), mac_end);
        bpf_store(code, BPF_B, BPF_REG_6, (int16_t)(ETHERNET + hops), HOP_LIMIT);
        if (v4)
                write_checksum(code, header_sum(frame->data + ETHERNET));
        bpf_put(code, BPF_ALU | BPF_END | BPF_TO_BE, BPF_REG_0, 0, 0, 32);
        bpf_put(code, BPF_STX | BPF_MEM | BPF_W, BPF_REG_6, BPF_REG_0,
                (int16_t)(ETHERNET + destination + 4 * course->word), 0);
        bpf_set(code, BPF_REG_0, XDP_PASS);
        bpf_exit(code);
}

static int forwarded_open(
        const struct course *course, const struct place *place, void **ret, struct error *error)
{
        struct forwarded *forwarded;
        struct bpf_code code = {};
        uint8_t mac[MAC_SIZE];
        struct frame frame;
        int r = read_mac(mac, error);

        if (r < 0)
                return r;
        frame_fill(&frame, course, place, mac);
        write_program(&code, course, &frame);
        r = bpf_load(BPF_PROG_TYPE_XDP, &code, error);
        if (r < 0)
                return r;
        forwarded = calloc(1, sizeof(*forwarded));
        if (!forwarded)
                abort();
        *forwarded = (struct forwarded){.program = r, .ifindex = place->pods, .frame = frame};
        *ret = forwarded;
        return 0;
}

static int forwarded_run(void *meter, uint32_t times, struct lap *ret)
{
        struct forwarded *forwarded = meter;
        struct xdp_md context = {
                .data_end = forwarded->frame.size,
                .ingress_ifindex = forwarded->ifindex,
        };
        union bpf_attr attributes = {};

        attributes.test.prog_fd = (uint32_t)forwarded->program;
        attributes.test.data_in = (uint64_t)(uintptr_t)forwarded->frame.data;
        attributes.test.data_size_in = forwarded->frame.size;
        attributes.test.ctx_in = (uint64_t)(uintptr_t)&context;
        attributes.test.ctx_size_in = sizeof(context);
        attributes.test.repeat = times;
        attributes.test.flags = LIVE_FRAMES;
        if (syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attributes, sizeof(attributes)) < 0)
                return -errno;
        /* The kernel's own: a run has some 10 ms of preparations besides. */
        *ret = (struct lap){.ns = (uint64_t)attributes.test.duration * times};
        return 0;
}

static void forwarded_close(void *meter)
{
        struct forwarded *forwarded = meter;

        close(forwarded->program);
        free(forwarded);
}

const struct meter meter_forwarded = {"forwarded", forwarded_open, forwarded_run, forwarded_close};
