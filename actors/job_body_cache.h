/*
 * Job body cache: the newest JOB records of a shard, so that a fresh job is delivered
 * without reading the disk.
 *
 * A ring of bytes: what is put in overwrites the oldest. A handle tells where a record
 * was put; whether it is still there is checked when it is used. Memory is reserved at
 * start, touched when used. One thread.
 */
#pragma once

#include "runtime/base.h"

/* Private to job_body_cache.c; embedded by value. */
struct job_body_cache {
    char *bytes;
    uint64_t capacity; /* a power of two */
    uint64_t written;  /* bytes ever put in */
};

/* Reserves capacity (rounded down to a power of two, at least 64 KiB). 0 or -errno. Start-up only.
 */
MUST_USE int job_body_cache_init(struct job_body_cache *cache, uint64_t capacity);

/* Gives the memory back. */
void job_body_cache_deinit(struct job_body_cache *cache);

/* Copies record in; gives its handle, or 0 when it is too large to be kept. */
uint32_t job_body_cache_put(struct job_body_cache *cache, uint64_t id_low, struct slice record);

/* True with *ret_record when the record is still there; it is valid until the next put. */
MUST_USE bool job_body_cache_get(const struct job_body_cache *cache, uint32_t handle,
                                 uint64_t id_low, struct slice *ret_record);
