/*
 * The kernel's route lookup for a forwarded TCP packet to port 443, by bpf_fib_lookup() in a
 * program that BPF_PROG_TEST_RUN repeats: the walk over the rules, the tables, and nothing else.
 */
#include <arpa/inet.h>
#include <string.h>
#include <sys/syscall.h>

#include "bpf.h"
#include "meter.h"

/* struct bpf_fib_lookup on the stack. */
#define PARAMETERS        (-(int16_t)sizeof(struct bpf_fib_lookup))
/* Not in every linux/bpf.h: no neighbour is looked for. */
#define LOOKUP_SKIP_NEIGH 4
#define PACKET_LENGTH     100 /* known: else the kernel looks at the packet that is not there */
#define FRAME_LENGTH      64

struct lookup {
        int program;
};

/* struct bpf_fib_lookup with all that does not vary. */
static struct bpf_fib_lookup parameters(const struct course *course, const struct place *place)
{
        struct address source = bench_pod_address(course->family, place->self, 9);
        struct address destination = course_address(course, 0);
        struct bpf_fib_lookup lookup = {
                .family = course->family,
                .l4_protocol = IPPROTO_TCP,
                .sport = htons(40000),
                .dport = htons(443),
                .ifindex = place->pods,
        };

        lookup.tot_len = PACKET_LENGTH;
        memcpy(lookup.ipv6_src, source.bytes, address_size(course->family));
        memcpy(lookup.ipv6_dst, destination.bytes, address_size(course->family));
        return lookup;
}

/* Returns what the helper says, and in the upper 16 bits the link's number. */
static void write_program(
        struct bpf_code *code, const struct course *course, const struct place *place)
{
        struct bpf_fib_lookup lookup = parameters(course, place);
        uint32_t words[sizeof(lookup) / sizeof(uint32_t)];
        int16_t varies = PARAMETERS + (int16_t)offsetof(struct bpf_fib_lookup, ipv6_dst) +
                         (int16_t)(4 * course->word);

        memcpy(words, &lookup, sizeof(words));
        bpf_copy(code, BPF_REG_6, BPF_REG_1);
        for (int16_t i = 0; i < (int16_t)ARRAY_SIZE(words); i++)
                bpf_store(
                        code, BPF_W, BPF_REG_10, PARAMETERS + (int16_t)(4 * i), (int32_t)words[i]);
        bpf_draw(code, course);
        bpf_put(code, BPF_ALU | BPF_END | BPF_TO_BE, BPF_REG_0, 0, 0, 32);
        bpf_put(code, BPF_STX | BPF_MEM | BPF_W, BPF_REG_10, BPF_REG_0, varies, 0);
        bpf_copy(code, BPF_REG_1, BPF_REG_6);
        bpf_copy(code, BPF_REG_2, BPF_REG_10);
        bpf_add(code, BPF_ALU64, BPF_REG_2, PARAMETERS);
        bpf_set(code, BPF_REG_3, sizeof(struct bpf_fib_lookup));
        bpf_set(code, BPF_REG_4, LOOKUP_SKIP_NEIGH);
        bpf_call(code, BPF_FUNC_fib_lookup);
        bpf_put(code, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_1, BPF_REG_10,
                PARAMETERS + (int16_t)offsetof(struct bpf_fib_lookup, ifindex), 0);
        bpf_put(code, BPF_ALU | BPF_LSH | BPF_K, BPF_REG_1, 0, 0, 16);
        bpf_put(code, BPF_ALU | BPF_AND | BPF_K, BPF_REG_0, 0, 0, 0xffff);
        bpf_put(code, BPF_ALU | BPF_OR | BPF_X, BPF_REG_0, BPF_REG_1, 0, 0);
        bpf_exit(code);
}

static int lookup_open(
        const struct course *course, const struct place *place, void **ret, struct error *error)
{
        struct bpf_code code = {};
        struct lookup *lookup;
        int fd;

        write_program(&code, course, place);
        fd = bpf_load(BPF_PROG_TYPE_SCHED_CLS, &code, error);
        if (fd < 0)
                return fd;
        lookup = calloc(1, sizeof(*lookup));
        if (!lookup)
                abort();
        lookup->program = fd;
        *ret = lookup;
        return 0;
}

static int lookup_run(void *meter, uint32_t times, struct lap *ret)
{
        struct lookup *lookup = meter;
        union bpf_attr attributes = {};
        char frame[FRAME_LENGTH] = "";

        attributes.test.prog_fd = (uint32_t)lookup->program;
        attributes.test.data_in = (uint64_t)(uintptr_t)frame;
        attributes.test.data_size_in = sizeof(frame);
        attributes.test.repeat = times;
        if (syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attributes, sizeof(attributes)) < 0)
                return -errno;
        if (attributes.test.retval & 0xffff)
                return -EHOSTUNREACH; /* not a way out: what is timed is not what was meant */
        ret->ns = (uint64_t)attributes.test.duration * times;
        ret->ifindex = attributes.test.retval >> 16;
        return 0;
}

static void lookup_close(void *meter)
{
        struct lookup *lookup = meter;

        close(lookup->program);
        free(lookup);
}

const struct meter meter_lookup = {"lookup", lookup_open, lookup_run, lookup_close};
