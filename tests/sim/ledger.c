#include "tests/sim/ledger.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>

#include "runtime/actor.h"

/*
 * Per connection one request at a time: receive 46 bytes, write a sector, send the
 * answer. A connection that ends is closed once nothing of it is armed.
 */
enum {
    LEDGER_MAGIC = 0x1ed9e400,
    BACKLOG = 64,
    PORT = 3000,
};

static void make_path(uint32_t shard_index, char ret_path[32])
{
    int size = snprintf(ret_path, 32, "ledger-%u", shard_index);

    assert(size < 32);
}

void ledger_format_request(uint32_t number, char ret_request[LEDGER_REQUEST_SIZE])
{
    char text[LEDGER_REQUEST_SIZE + 1];
    int size = snprintf(text, sizeof(text), "POST / HTTP/1.1\r\ncontent-length: 8\r\n\r\n%08u",
                        number % 100000000);

    assert(size == LEDGER_REQUEST_SIZE);
    memcpy(ret_request, text, LEDGER_REQUEST_SIZE);
}

static int open_file(struct ledger *ledger)
{
    char path[32];
    uint64_t size;
    int r;

    make_path(ledger->actor.shard->index, path);
    ledger->file = disk_open(ledger->disk, path, O_RDWR | O_CREAT | O_DIRECT, 0600);
    if (ledger->file < 0)
        return ledger->file;
    r = disk_sync_directory(ledger->disk, ".");
    if (r < 0)
        return r;
    r = disk_size(ledger->disk, ledger->file, &size);
    if (r < 0)
        return r;
    ledger->end = round_up_u64(size, LEDGER_SECTOR_SIZE);
    return 0;
}

static int on_start(struct actor *self)
{
    struct ledger *ledger = ACTOR_CAST(self, struct ledger, LEDGER_MAGIC);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int r;

    r = open_file(ledger);
    if (r < 0)
        return r;
    ledger->listener =
        io_listen(self->shard->io, (const struct sockaddr *)&address, sizeof(address), BACKLOG);
    if (ledger->listener < 0)
        return ledger->listener;
    for (uint32_t i = 0; i < LEDGER_CONNECTION_COUNT_MAX; i++) {
        struct ledger_connection *connection = &ledger->connections[i];

        connection->fd = -1;
        connection->sector = ledger->sectors[i];
        actor_op_init(self, &connection->recv_op);
        actor_op_init(self, &connection->send_op);
        actor_op_init(self, &connection->write_op);
        actor_op_init(self, &connection->close_op);
    }
    actor_op_init(self, &ledger->accept_op);
    io_accept(self->shard->io, &ledger->accept_op, ledger->listener);
    return 0;
}

static void on_accept(struct ledger *ledger, const struct io_result *result)
{
    struct io *io = ledger->actor.shard->io;

    for (uint32_t i = 0; i < LEDGER_CONNECTION_COUNT_MAX && result->value >= 0; i++) {
        struct ledger_connection *connection = &ledger->connections[i];

        if (connection->fd >= 0)
            continue;
        connection->fd = result->value;
        connection->ending = false;
        connection->input_size = 0;
        io_recv(io, &connection->recv_op, connection->fd);
        return;
    }
    if (result->value >= 0)
        io_close_now(io, result->value);
    if (!result->more)
        io_accept(io, &ledger->accept_op, ledger->listener);
}

static void answer(struct ledger *ledger, struct ledger_connection *connection, const char *status)
{
    int size = snprintf(connection->answer, sizeof(connection->answer),
                        "HTTP/1.1 %s\r\ncontent-length: 8\r\n\r\n%.8s", status, connection->sector);

    assert(size < (int)sizeof(connection->answer));
    io_send(ledger->actor.shard->io, &connection->send_op, connection->fd, connection->answer,
            (uint32_t)size);
}

/* Begins the write once a whole request is there and the last one has been dealt with. */
static void take_request(struct ledger *ledger, struct ledger_connection *connection)
{
    struct io *io = ledger->actor.shard->io;

    if (connection->ending || connection->input_size < LEDGER_REQUEST_SIZE ||
        io_op_is_armed(&connection->write_op) || io_op_is_armed(&connection->send_op))
        return;
    memset(connection->sector, 0, LEDGER_SECTOR_SIZE);
    memcpy(connection->sector, connection->input + LEDGER_REQUEST_SIZE - LEDGER_NUMBER_SIZE,
           LEDGER_NUMBER_SIZE);
    connection->input_size = 0;
    io_write(io, &connection->write_op, ledger->file, connection->sector, LEDGER_SECTOR_SIZE,
             ledger->end, IO_WRITE_DURABLE);
    ledger->end += LEDGER_SECTOR_SIZE;
    if (ledger->answer_early)
        answer(ledger, connection, "202 Accepted");
}

static void on_recv(struct ledger *ledger, struct ledger_connection *connection,
                    const struct io_result *result)
{
    if (result->value <= 0) {
        connection->ending = true;
        return;
    }
    for (int32_t i = 0; i < result->value; i++) {
        /* One request at a time: the client does not pipeline. */
        assert(connection->input_size < LEDGER_REQUEST_SIZE);
        connection->input[connection->input_size++] = result->data[i];
    }
    io_buffer_release(ledger->actor.shard->io, result->buffer_index);
}

static bool is_armed(const struct ledger_connection *connection)
{
    return io_op_is_armed(&connection->recv_op) || io_op_is_armed(&connection->send_op) ||
           io_op_is_armed(&connection->write_op) || io_op_is_armed(&connection->close_op);
}

static int on_io(struct ledger *ledger, struct io_op *op, const struct io_result *result)
{
    struct io *io = ledger->actor.shard->io;

    if (op == &ledger->accept_op) {
        on_accept(ledger, result);
        return ACTOR_OK;
    }
    for (uint32_t i = 0; i < LEDGER_CONNECTION_COUNT_MAX; i++) {
        struct ledger_connection *connection = &ledger->connections[i];

        if (op == &connection->close_op) {
            connection->fd = -1;
            return ACTOR_OK;
        }
        if (op == &connection->recv_op)
            on_recv(ledger, connection, result);
        else if (op == &connection->send_op)
            connection->ending = connection->ending || result->value < 0;
        else if (op == &connection->write_op && !ledger->answer_early && !connection->ending)
            answer(ledger, connection, result->value < 0 ? "503 Down" : "202 Accepted");
        else if (op != &connection->write_op)
            continue;

        take_request(ledger, connection);
        if (connection->ending)
            io_cancel(io, &connection->recv_op);
        if (connection->ending && !is_armed(connection))
            io_close(io, &connection->close_op, connection->fd);
        return ACTOR_OK;
    }
    return ACTOR_UNHANDLED;
}

static int on_receive(struct actor *self, const struct message *msg)
{
    struct ledger *ledger = ACTOR_CAST(self, struct ledger, LEDGER_MAGIC);

    if (msg->type == MSG_IO)
        return on_io(ledger, msg->as.io.op, msg->as.io.result);
    return msg->type == MSG_STOP ? ACTOR_STOP : ACTOR_UNHANDLED;
}

static const struct actor_type ledger_type = {
    .name = "ledger",
    .start = on_start,
    .receive = on_receive,
};

int ledger_spawn(struct ledger *ledger, struct shard *shard, struct disk *disk, bool answer_early)
{
    ledger->disk = disk;
    ledger->answer_early = answer_early;
    return actor_spawn(shard, &ledger->actor, &ledger_type, LEDGER_MAGIC, ACTOR_ID_NONE);
}

static bool file_holds(struct disk *disk, int fd, const char *text)
{
    static char sector[LEDGER_SECTOR_SIZE] __attribute__((aligned(LEDGER_SECTOR_SIZE)));
    uint64_t offset = 0;

    while (disk_read(disk, fd, sector, LEDGER_SECTOR_SIZE, offset) == LEDGER_SECTOR_SIZE) {
        if (memcmp(sector, text, LEDGER_NUMBER_SIZE) == 0)
            return true;
        offset += LEDGER_SECTOR_SIZE;
    }
    return false;
}

bool ledger_holds(struct disk *disk, uint32_t shard_count, uint32_t number)
{
    char text[16];
    int size = snprintf(text, sizeof(text), "%08u", number);
    bool found = false;

    assert(size == LEDGER_NUMBER_SIZE);
    for (uint32_t i = 0; i < shard_count && !found; i++) {
        char path[32];
        int fd;

        make_path(i, path);
        fd = disk_open(disk, path, O_RDONLY | O_DIRECT, 0);
        if (fd < 0)
            continue;
        found = file_holds(disk, fd, text);
        disk_close(disk, fd);
    }
    return found;
}
