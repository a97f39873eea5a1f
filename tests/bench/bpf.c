#include "bpf.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOG_SIZE 65536

void bpf_put(struct bpf_code *code, uint8_t operation, uint8_t target, uint8_t source,
        int16_t offset, int32_t value)
{
        if (code->n == BPF_CODE_MAX)
                abort();
        code->items[code->n++] = (struct bpf_insn){
                .code = operation,
                .dst_reg = target & 15u,
                .src_reg = source & 15u,
                .off = offset,
                .imm = value,
        };
}

void bpf_copy(struct bpf_code *code, uint8_t target, uint8_t source)
{
        bpf_put(code, BPF_ALU64 | BPF_MOV | BPF_X, target, source, 0, 0);
}

void bpf_set(struct bpf_code *code, uint8_t target, int32_t value)
{
        bpf_put(code, BPF_ALU64 | BPF_MOV | BPF_K, target, 0, 0, value);
}

void bpf_add(struct bpf_code *code, uint8_t class, uint8_t target, int32_t value)
{
        bpf_put(code, class | BPF_ADD, target, 0, 0, value); /* BPF_K is 0, as BPF_ADD is */
}

void bpf_store(struct bpf_code *code, uint8_t size, uint8_t target, int16_t offset, int32_t value)
{
        bpf_put(code, (uint8_t)(BPF_ST | BPF_MEM | size), target, 0, offset, value);
}

void bpf_call(struct bpf_code *code, int32_t helper)
{
        bpf_put(code, BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}

void bpf_exit(struct bpf_code *code)
{
        bpf_put(code, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

void bpf_draw(struct bpf_code *code, const struct course *course)
{
        bpf_call(code, BPF_FUNC_get_prandom_u32);
        bpf_put(code, BPF_ALU | BPF_MOD | BPF_K, BPF_REG_0, 0, 0, (int32_t)course->count);
        bpf_put(code, BPF_ALU | BPF_LSH | BPF_K, BPF_REG_0, 0, 0, (int32_t)course->shift);
        bpf_add(code, BPF_ALU, BPF_REG_0, (int32_t)course->base);
}

int bpf_load(enum bpf_prog_type type, const struct bpf_code *code, struct error *error)
{
        static const char license[] = "GPL";
        static char log[LOG_SIZE];
        union bpf_attr attributes = {};
        long fd;

        attributes.prog_type = type;
        attributes.insns = (uint64_t)(uintptr_t)code->items;
        attributes.insn_cnt = code->n;
        attributes.license = (uint64_t)(uintptr_t)license;
        fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes));
        if (fd >= 0)
                return (int)fd;
        if (errno == EPERM || errno == ENOSYS)
                return error_set(error, -errno, "bpf(2): %s", strerror(errno));
        attributes.log_buf = (uint64_t)(uintptr_t)log;
        attributes.log_size = sizeof(log);
        attributes.log_level = 1;
        (void)syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes));
        return error_set(error, -EINVAL, "the verifier: %.400s",
                log + (strlen(log) > 400 ? strlen(log) - 400 : 0));
}
