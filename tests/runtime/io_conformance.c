#include "tests/runtime/io_conformance.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/runtime/probe_op.h"

/* How a case of io_conformance.h is run, and what may not be done with an operation. */

void io_conformance_run(void (*run)(struct io_fixture *fixture), uint32_t buffer_count)
{
    struct io_fixture fixture = {0};

    io_fixture_open(&fixture, buffer_count);
    run(&fixture);
    cr_assert(eq(u32, fixture.io->armed_count, 0));
    io_fixture_close(&fixture);
}

/* --- Misuse --------------------------------------------------------------------------------- */

void aborts_when_a_descriptor_is_closed_under_a_receive(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct probe_pair pair = probe_pair_open(io);
    struct probe_op recv, close;

    probe_init(&recv, io);
    probe_init(&close, io);
    io_recv(io, &recv.op, pair.server);
    io_close(io, &close.op, pair.server);
}

void aborts_when_an_armed_operation_is_armed_again(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct probe_pair pair = probe_pair_open(io);
    struct probe_op recv;

    probe_init(&recv, io);
    io_recv(io, &recv.op, pair.server);
    io_recv(io, &recv.op, pair.server);
}
