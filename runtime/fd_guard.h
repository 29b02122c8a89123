/*
 * Fd guard: how many operations are armed on each descriptor.
 *
 * Closing a descriptor under an armed operation does not end the operation: the
 * socket lives on, its peer never hears of the end, and the number may name
 * another connection by the time the operation completes. The guard turns that
 * silent bug into an assert. Owned by the shard's thread.
 */
#pragma once

#include "runtime/base.h"

/* Private to fd_guard.c; embedded by value. */
struct fd_guard {
    uint16_t *op_counts; /* by descriptor; reserved, touched only where used */
    uint32_t fd_count;
    bool blind; /* a forgotten operation made the counts useless */
};

/* Reserves a count for each descriptor this process may ever open. 0 or -errno. Start-up only. */
MUST_USE int fd_guard_init(struct fd_guard *guard);

/* Gives the memory back. */
void fd_guard_deinit(struct fd_guard *guard);

/* An operation on fd begins, and ends. fd -1 stands for none. */
void fd_guard_enter(struct fd_guard *guard, int fd);
void fd_guard_leave(struct fd_guard *guard, int fd);

/* Aborts when an operation is armed on fd. Call before closing it. */
void fd_guard_check(const struct fd_guard *guard, int fd);

/* Stops checking for good: an operation was forgotten, so the counts prove nothing. */
void fd_guard_blind(struct fd_guard *guard);
