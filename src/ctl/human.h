/*
 * Times and sizes as people read them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define HUMAN_TEXT_MAX 48

/* "4 s", "3 min", "2 h 5 min", "3 d 4 h". Each returns buffer. */
const char *human_span(uint64_t seconds, char buffer[static HUMAN_TEXT_MAX]);
/* "12 s ago"; "never" for 0; "just now" also for what lies ahead. Unix times in s. */
const char *human_age(uint64_t at, uint64_t now, char buffer[static HUMAN_TEXT_MAX]);
/* "2026-11-23 01:40:12 UTC"; "never" for 0. */
const char *human_time(uint64_t at, char buffer[static HUMAN_TEXT_MAX]);
/* "512 B", "1.4 KiB", "20 MiB". */
const char *human_bytes(uint64_t bytes, char buffer[static HUMAN_TEXT_MAX]);
