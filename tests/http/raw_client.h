/*
 * Raw client: one connection of a simulated client machine that sends any bytes.
 *
 *     CONNECTING --> OPEN --drop, or the server's FIN--> CLOSING --> CLOSED
 *          \--refused-------------------------------------^
 *
 * What is to be sent waits in one growing buffer and goes out whole or cut into
 * drawn pieces with drawn pauses. What comes is kept for ever, so a test looks at
 * it when it likes; raw_client_next() reads the answers one after the other.
 * Allocates: it lives in test processes only.
 *
 * With TLS the same, one floor up: what is sent and what came are plain bytes, and the
 * pieces and counts of out are those of the wire.
 */
#pragma once

#include <sys/socket.h>

#include "http/tls_client.h"
#include "runtime/io.h"
#include "runtime/list.h"
#include "runtime/sim_world.h"

enum raw_client_state {
    RAW_CLIENT_CONNECTING,
    RAW_CLIENT_OPEN,
    RAW_CLIENT_CLOSING,
    RAW_CLIENT_CLOSED,
};

/* The first group may be set by tests at any time, the second read. */
struct raw_client {
    uint32_t piece_size_max; /* 0: each send is as large as what waits */
    uint64_t pause_ns_max;   /* between pieces */
    bool stays_open;         /* the server's FIN does not end the connection */

    enum raw_client_state state;
    bool refused;    /* nobody accepted */
    bool saw_end;    /* the server's FIN */
    bool saw_reset;  /* the connection was reset */
    size_t in_size;  /* bytes received */
    size_t out_sent; /* bytes of out sent */
    size_t out_size;
    int tls_error;     /* of BearSSL's, when TLS failed on our side */
    bool saw_farewell; /* the server's, in TLS */

    struct sim_world *world; /* private to raw_client.c from here on */
    struct io *io;
    const struct sockaddr *address;
    socklen_t address_size;
    int fd;
    bool end_wanted;
    bool reading_paused;
    char *in;
    size_t in_capacity;
    size_t in_read;    /* where raw_client_next() goes on */
    size_t in_counted; /* where raw_client_answer_count() goes on */
    uint32_t answer_count;
    char *out;
    size_t out_capacity;
    char *piece; /* being sent */
    struct io_op connect_op;
    struct io_op recv_op;
    struct io_op send_op;
    struct io_op shutdown_op;
    struct io_op close_op;
    struct sim_event pause_over;
    struct list_node link;  /* the fixture's */
    struct tls_client *tls; /* NULL: none */
    char *plain;            /* to be sent in TLS */
    size_t plain_size;
    size_t plain_written;
    size_t plain_capacity;
};

/* One answer; borrows the client's input until more comes. */
struct raw_answer {
    uint32_t status;
    struct slice head; /* without its empty line */
    struct slice body;
    bool says_close;
};

/* A new client that connects to address. Borrows all; free with raw_client_free(). */
struct raw_client *raw_client_new(struct sim_world *world, struct io *io,
                                  const struct sockaddr *address, socklen_t address_size);

/* Frees the client and nulls the pointer; its io must have been freed, or the client be CLOSED. */
void raw_client_free(struct raw_client **client);

/*
 * Speaks TLS from the first byte on, with the server that bears that name. Borrows trust;
 * resumes session unless it is NULL. Before anything is sent.
 */
void raw_client_start_tls(struct raw_client *client, const struct trust_store *trust,
                          const char *name, const br_ssl_session_parameters *session);

/* Sends bytes to the wire past TLS. */
void raw_client_send_wire(struct raw_client *client, const char *data, size_t size);

/* Says farewell in TLS, after what was written before. */
void raw_client_farewell(struct raw_client *client);

/* Sends size bytes at data after what waits already; copies. */
void raw_client_send(struct raw_client *client, const char *data, size_t size);

/* The same for a string. */
void raw_client_send_text(struct raw_client *client, const char *text);

/* A request without a body; fields are whole lines ("a: b\r\n"), or "". */
void raw_client_ask(struct raw_client *client, const char *method, const char *path,
                    const char *fields);

/* POST with Content-Length. */
void raw_client_post(struct raw_client *client, const char *path, const char *fields,
                     const char *body, size_t body_size);

/* POST in chunks of up to chunk_size_max bytes, of drawn size. */
void raw_client_post_chunked(struct raw_client *client, const char *path, const char *fields,
                             const char *body, size_t body_size, size_t chunk_size_max);

/* Ends the sending side when all has been sent; answers still come. */
void raw_client_finish(struct raw_client *client);

/* Walks away: closes both directions at once. */
void raw_client_drop(struct raw_client *client);

/* Stops or goes on taking what the server sends. */
void raw_client_pause_reading(struct raw_client *client, bool paused);

/*
 * Reads the next answer. is_head: it answers HEAD, so no body follows. False when it
 * is not there wholly. Answers that are no HTTP/1.1 abort.
 */
bool raw_client_next(struct raw_client *client, bool is_head, struct raw_answer *ret_answer);

/* How many whole answers have come so far, 1xx left out. Not on connections that used HEAD. */
uint32_t raw_client_answer_count(struct raw_client *client);

/* Bytes received that no answer read so far accounts for. */
size_t raw_client_unread_size(const struct raw_client *client);

/* Reads the next answer: true when it is there and has this status and body. */
bool raw_client_next_is(struct raw_client *client, uint32_t status, const char *body);

/* The same, of a body that is no string. */
bool raw_client_next_has(struct raw_client *client, uint32_t status, const char *body,
                         size_t body_size);

/* True when the answer's field has this value. */
bool raw_answer_says(const struct raw_answer *answer, const char *name, const char *value);

/* The value of a field of the answer; data NULL when it has none. */
struct slice raw_answer_field(const struct raw_answer *answer, const char *name);
