/*
 * BPF programs written by hand: the few instructions that the meters need, and bpf(2).
 */
#pragma once

#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>

#include "basics/error.h"
#include "course.h"

#define BPF_CODE_MAX 64

/* A program under construction. Zero to begin. */
struct bpf_code {
        struct bpf_insn items[BPF_CODE_MAX];
        uint32_t n;
};

void bpf_put(struct bpf_code *code, uint8_t operation, uint8_t target, uint8_t source,
        int16_t offset, int32_t value);
/* target = source */
void bpf_copy(struct bpf_code *code, uint8_t target, uint8_t source);
/* target = value */
void bpf_set(struct bpf_code *code, uint8_t target, int32_t value);
/* target += value; class BPF_ALU (32 bits) or BPF_ALU64 */
void bpf_add(struct bpf_code *code, uint8_t class, uint8_t target, int32_t value);
/* The 32 (or 16, 8) bits at memory of target + offset = value */
void bpf_store(struct bpf_code *code, uint8_t size, uint8_t target, int16_t offset, int32_t value);
void bpf_call(struct bpf_code *code, int32_t helper);
void bpf_exit(struct bpf_code *code);
/* r0 = the course's varying word for a random destination, in host order; r1 … r5 are lost */
void bpf_draw(struct bpf_code *code, const struct course *course);

/* Loads it. Negative errno, with the verifier's last words. */
int bpf_load(enum bpf_prog_type type, const struct bpf_code *code, struct error *error);
