/*
 * Io conformance: what every backend of runtime/io.h must do, as test bodies.
 *
 * A backend's own test file gives io_fixture_open() and io_fixture_close(), then
 * makes one Criterion test of each case:
 *
 *     #define AS_TEST(name, buffer_count) \
 *         Test(io_sim, name, .timeout = 60) { io_conformance_run(name, buffer_count); }
 *     IO_CONFORMANCE_CASES(AS_TEST)
 *
 * and one of each abort case with .signal = SIGABRT added. Everything happens
 * through one struct io, which is both client and server.
 */
#pragma once

#include "runtime/io.h"

/* Filled in by io_fixture_open(). */
struct io_fixture {
    struct io *io;
    const char *directory; /* files may be made below it; it exists; no slash at the end */
    uint32_t buffer_size;  /* bytes in one receive buffer */
};

/* X(name of the test, receive buffers it wants) */
#define IO_CONFORMANCE_CASES(X)                                                                    \
    X(echoes_bytes_over_tcp, 64)                                                                   \
    X(tells_both_ends_their_addresses, 64)                                                         \
    X(accepts_many_connections_with_one_operation, 64)                                             \
    X(refuses_a_connection_to_a_closed_port, 64)                                                   \
    X(delivers_everything_with_four_buffers, 4)                                                    \
    X(keeps_bytes_in_the_kernel_while_the_reader_holds_the_buffers, 4)                             \
    X(sends_a_mebibyte_to_a_slow_reader, 8)                                                        \
    X(ends_a_receive_at_the_end_of_the_stream, 64)                                                 \
    X(ends_each_receive_whose_bytes_and_end_came_together, 64)                                     \
    X(ends_each_receive_whose_bytes_and_reset_came_together, 64)                                   \
    X(tears_down_by_shutdown_then_close, 64)                                                       \
    X(completes_a_cancelled_receive_once, 64)                                                      \
    X(completes_a_cancelled_starved_receive_later_and_once, 4)                                     \
    X(completes_a_cancelled_accept, 64)                                                            \
    X(ignores_a_cancel_of_an_idle_operation, 64)                                                   \
    X(ends_a_blocked_send_on_cancel, 64)                                                           \
    X(lets_a_callback_arm_its_operation_again, 64)                                                 \
    X(goes_on_after_a_callback_left_by_longjmp, 64)                                                \
    X(reaps_no_more_than_asked, 64)                                                                \
    X(writes_syncs_renames_reads_and_unlinks_a_file, 64)                                           \
    X(reports_the_errors_of_files, 64)                                                             \
    X(reads_short_at_the_end_of_a_file, 64)                                                        \
    X(completes_a_thousand_operations_armed_at_once, 64)

#define IO_CONFORMANCE_ABORT_CASES(X)                                                              \
    X(aborts_when_a_descriptor_is_closed_under_a_receive, 64)                                      \
    X(aborts_when_an_armed_operation_is_armed_again, 64)

#define IO_CONFORMANCE_DECLARE(name, buffer_count) void name(struct io_fixture *fixture);
IO_CONFORMANCE_CASES(IO_CONFORMANCE_DECLARE)
IO_CONFORMANCE_ABORT_CASES(IO_CONFORMANCE_DECLARE)
#undef IO_CONFORMANCE_DECLARE

/* Given by the backend's test file: a fresh, enabled backend with that many receive buffers. */
void io_fixture_open(struct io_fixture *fixture, uint32_t buffer_count);

/* Given by the backend's test file: frees it, with the files made below directory. */
void io_fixture_close(struct io_fixture *fixture);

/* Opens, runs one case, asserts that it left nothing armed, closes. */
void io_conformance_run(void (*run)(struct io_fixture *fixture), uint32_t buffer_count);
