/*
 * Reader: questions of routes to the read model, on their way and back.
 *
 *     on_request --reader_begin()--> request --reader_submit()--> read model
 *     connection <--MSG_READ_ANSWER-- request <-------on_done-------/
 *
 * One per shard. A question's memory is a request of a pool and a buffer for its answer, so
 * there are no more of them than the shard has slots: beyond that, and when the read model has
 * all it can take, 503. An answer that does not fit its buffer is asked for once more with a
 * larger one.
 *
 * Whose rows are shown is decided here and nowhere else: the scope of every question is the
 * project of the key that asks.
 */
#pragma once

#include "actors/auth.h"
#include "actors/outbox.h"
#include "contracts/search_text.h"
#include "contracts/uuid.h"
#include "http/parameters.h"
#include "runtime/buffer.h"
#include "runtime/pool.h"
#include "store/read_model.h"

enum {
    READER_MAGIC = 0x52454144,
    READER_REQUEST_COUNT_MAX = 64, /* per shard, in flight */
    READER_TEXT_SIZE_MAX = SEARCH_TEXT_SIZE_MAX + 1024,
    READER_CURSOR_SIZE_MAX = 256, /* of a text that may be one */
    READER_ANSWER_SIZE = 256 * 1024,
    READER_ANSWER_SIZE_MAX = 2 * 1024 * 1024,
};

struct app_shard;
struct reader;

/* One question. query is the route's to fill in between begin and submit. */
struct reader_request {
    struct read_query query;
    struct reader *home;
    struct actor_id connection;
    uint64_t token;
    struct buffer *body;
    enum read_result result;
    bool is_decided;
    bool is_abandoned;
    char org[TENANT_NAME_SIZE_MAX];
    char project[TENANT_NAME_SIZE_MAX];
    char path_text[UUID_TEXT_SIZE];   /* what the path names */
    char texts[READER_TEXT_SIZE_MAX]; /* values of parameters */
};

/* What these routes keep in an exchange. */
struct reader_note {
    struct reader_request *request;
    struct auth auth;
};

/* What a route takes besides what all lists take. */
struct reader_parameters {
    const struct parameter *list; /* limit and cursor first, when has_page */
    uint32_t count;
    bool has_page;
};

/* Private to reader.c; embedded in the app_shard. */
struct reader {
    struct actor actor;
    struct app_shard *home;
    struct outbox outbox;
    struct pool requests;
    bool is_stopping;
};

extern const struct actor_type reader_type;

/* For the tables of routes: the first two of every list. */
#define READER_PAGE_PARAMETERS                                                                     \
    {.name = PARAMETER_NAME("limit"),                                                              \
     .kind = PARAMETER_NUMBER,                                                                     \
     .min = 1,                                                                                     \
     .max = READ_LIMIT_MAX,                                                                        \
     .rule = "must be a whole number from 1 to 100"},                                              \
    {                                                                                              \
        .name = PARAMETER_NAME("cursor"), .kind = PARAMETER_TEXT, .min = 1,                        \
        .max = READER_CURSOR_SIZE_MAX, .rule = "is no cursor"                                      \
    }

enum { READER_PAGE_PARAMETER_COUNT = 2 };

/* The project, as clients of the system that went before name it; for reader_restrict(). */
#define READER_PROJECT_PARAMETER                                                                   \
    {                                                                                              \
        .name = PARAMETER_NAME("project_id"), .kind = PARAMETER_TEXT, .min = 1,                    \
        .max = TENANT_NAME_SIZE_MAX, .rule = "must be 1 to 64 bytes of text"                       \
    }

/* 0 or -errno. Start-up only. */
MUST_USE int reader_init(struct reader *reader, struct app_shard *home);

/* Frees what reader_init() made. */
void reader_deinit(struct reader *reader);

/* True when no question is under way. */
bool reader_is_idle(const struct reader *reader);

/* on_head of all its routes: scope read, no body. */
int reader_on_head(struct exchange *exchange);

/*
 * A question of the caller's project, with what the query of the request says: limit, cursor,
 * and the rest in ret_values[0..parameters->count). EXCHANGE_READ_BODY with *ret_request, to
 * be filled in and submitted; or what became of the exchange instead.
 */
MUST_USE int reader_begin(struct exchange *exchange, enum read_query_type type,
                          const struct reader_parameters *parameters,
                          struct parameter_value *ret_values, struct reader_request **ret_request);

/* Takes rows of this project only: of any but the key's own there are none. */
void reader_restrict(struct reader_request *request, const struct parameter_value *project);

/*
 * A copy, which lives as long as the request, of an id that the path names. What cannot be an
 * id becomes empty, which names nothing.
 */
struct slice reader_keep_id(struct reader_request *request, struct slice text);

/* Refuses the request that was begun, with what is wrong with a parameter. */
MUST_USE int reader_refuse(struct exchange *exchange, const struct parameter *parameter,
                           const char *rule);

/* The question goes on its way. Results as on_request of struct route. */
MUST_USE int reader_submit(struct exchange *exchange);

/* on_reply of all its routes. */
int reader_on_reply(struct exchange *exchange, const struct message *msg);

/* on_abandon of all its routes. */
void reader_on_abandon(struct exchange *exchange);
