/*
 * Sim trace: what happened in a simulated world, as one number and as text.
 *
 * Every event adds its time, kind, place, result and a hash of its bytes to a
 * rolling 64-bit hash. Two runs of one seed must end with the same number. No
 * address of this process ever goes in, so that neither ASLR nor the allocator
 * can change it.
 */
#pragma once

#include "runtime/base.h"

/* hash and count may be read; embedded by value in the world. */
struct sim_trace {
    uint64_t hash;
    uint64_t count;
    FILE *file; /* borrowed; NULL: no text */
};

/* One event. Borrowed for the call. */
struct sim_trace_entry {
    uint64_t mono_ns;
    const char *host; /* its name */
    uint32_t io_index;
    const char *what; /* a short word */
    int32_t fd;
    int64_t value;
    uint64_t detail; /* offset, size or hash of the bytes */
};

/* An empty trace. */
void sim_trace_init(struct sim_trace *trace);

/* Adds entry to the hash, and a line to the file if there is one. */
void sim_trace_add(struct sim_trace *trace, const struct sim_trace_entry *entry);

/* 64 bits that depend on every byte. */
uint64_t sim_hash(const void *data, size_t size);
