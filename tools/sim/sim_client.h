/*
 * Sim client: one sender of the workload: what it asks and how it reads the answers.
 *
 * Knows the product's HTTP interface and nothing of its insides. What to ask next, and
 * whether an answer can be true, is sim_workload.c's business.
 */
#pragma once

#include "tools/sim/sim_answer.h"
#include "tools/sim/sim_check.h"

enum {
    SIM_CLIENT_BODY_SIZE_MAX = 61440,
    SIM_CLIENT_REQUEST_SIZE_MAX = SIM_CLIENT_BODY_SIZE_MAX + 1024,
};

/* What a request is about. */
enum sim_ask {
    SIM_ASK_UNIT,         /* a unit, until it is acknowledged */
    SIM_ASK_AGAIN,        /* an acknowledged unit, byte for byte */
    SIM_ASK_OTHER_BODY,   /* an acknowledged id with another body */
    SIM_ASK_SHARED,       /* an id that others send too */
    SIM_ASK_ANONYMOUS,    /* an event without an id */
    SIM_ASK_KEY_MISUSED,  /* an acknowledged Idempotency-Key with another body */
    SIM_ASK_GET,          /* an event back */
    SIM_ASK_GET_FOREIGN,  /* another project's event */
    SIM_ASK_GET_NOTHING,  /* an id that nobody sent */
    SIM_ASK_BAD,          /* something that must be refused */
    SIM_ASK_ADMIN_CREATE, /* an API key */
    SIM_ASK_ADMIN_REVOKE,
    SIM_ASK_ADMIN_TRY, /* whether a key works */
    SIM_ASK_READYZ,
};

/* How a unit is sent. */
enum sim_form {
    SIM_FORM_SINGLE,
    SIM_FORM_BATCH,
    SIM_FORM_LINES,
    SIM_FORM_PARTIAL,
};

struct sim_workload;

/* One sender. Private to sim_client.c and sim_workload.c. */
struct sim_client {
    struct sim_http_client http;
    struct sim_http_request request;
    struct sim_workload *workload;
    struct sim_event rest_over;
    uint32_t index;
    uint32_t host;  /* which of the workload's */
    uint8_t tenant; /* whose key it uses */
    bool is_asking; /* a request is out, or a rest is on */

    enum sim_ask ask;
    enum sim_form form;
    uint32_t unit;         /* index in the model, of the present or latest unit; SIM_NONE */
    uint32_t number;       /* the item that the request is about, the unit's first */
    uint32_t count;        /* of items */
    uint32_t variant;      /* of the items' bodies */
    uint32_t key_number;   /* the Idempotency-Key's item, or SIM_NONE */
    uint32_t payload_size; /* filler in each event */
    uint32_t attempt_count;
    uint32_t sent_life; /* the life of the server in which the request went out */
    /* What could have explained a refusal when the request went out. */
    uint32_t sends_before; /* attempts with these items, this one included */
    bool could_conflict;
    bool could_be_in_flight;
    char data[SIM_CLIENT_REQUEST_SIZE_MAX];
    char body[SIM_CLIENT_BODY_SIZE_MAX];
};

/* What of a request differs from an ordinary POST of JSON. NULL leaves a header out. */
struct sim_call {
    const char *method; /* NULL: POST */
    const char *path;
    const char *key;
    const char *content_type;    /* NULL: application/json */
    const char *idempotency_key; /* or NULL */
};

/* Writes the bodies of count items, from number on, in the client's form. */
void sim_client_write_items(struct sim_client *client, const struct sim_check *check);

/* Sends call with client->body; on_done of the request comes later. */
void sim_client_send(struct sim_client *client, const struct sim_call *call);

/* What the answer says. */
enum sim_reply sim_client_reply(const struct sim_client *client);

/* True when the answer's body contains text. */
bool sim_client_has(const struct sim_client *client, const char *text);

/*
 * The value of "name":"..." after *offset in the answer, moving *offset past it. An empty
 * slice when there is none.
 */
struct slice sim_client_value(const struct sim_client *client, const char *name, uint32_t *offset);

/* What the answer calls the request, for the story: status and code. */
void sim_client_describe(const struct sim_client *client, char *text, size_t size);
