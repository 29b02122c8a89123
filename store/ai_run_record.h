/*
 * AI run record: what the log says about the work of models, byte for byte.
 *
 *     AI_RUN   a run as a whole, as it is from now on: written in the group of the fact
 *              about its job with each attempt that has an outcome, and before its segment goes
 *
 * A run is what one job had a model do, however many attempts that took; its id is the
 * job's (store/job_id.h of created_ms, id_low and the record's partition). Of two images of
 * the same run the one with the higher revision is the later; one that is carried forward
 * keeps its revision, so whoever has seen it already can tell.
 *
 *     QUEUED --> RUNNING --> SUCCEEDED            RUNNING is never on disk: an attempt under
 *        ^  \       |  \---> FAILED, CANCELLED    way is a lease, which dies with its process
 *        \---\------/ \
 *             \--> CANCELLED, FAILED
 *
 * Little-endian; attempts follow the header, then the sections. Encoding and decoding only;
 * what one encodes the other accepts: encoding asserts what decoding checks. What is reserved
 * is 0. Neither the prompt nor what a model said besides its output is kept, only hashes.
 */
#pragma once

#include "contracts/chat_completion.h"
#include "contracts/sha256.h"
#include "contracts/summary_output.h"
#include "contracts/token_price.h"
#include "store/job_id.h"
#include "store/job_record.h"

enum {
    AI_RUN_RECORD_VERSION = 1,
    AI_RUN_ATTEMPT_COUNT_MAX = 16, /* kept: the latest */
    AI_RUN_NAME_SIZE_MAX = 128,    /* of provider, models, prompt, schema, price table, incident */
    AI_RUN_ERROR_SIZE_MAX = 256,
    AI_RUN_PROBLEMS_SIZE_MAX = SUMMARY_EXPLAINED_SIZE_MAX,
    AI_RUN_OUTPUT_SIZE_MAX = SUMMARY_WRITTEN_SIZE_MAX,
};

/* Numbers that nobody knows. A cost: TOKEN_COST_UNKNOWN; tokens: CHAT_TOKENS_UNKNOWN. */
static const uint32_t AI_RUN_CONFIDENCE_UNKNOWN = UINT32_MAX;

/* X(name, number, text): states of a run. The numbers are on disk. */
#define AI_RUN_STATES(X)                                                                           \
    X(QUEUED, 1, "queued")   /* an attempt failed, another one will be made */                     \
    X(RUNNING, 2, "running") /* never on disk */                                                   \
    X(SUCCEEDED, 3, "succeeded")                                                                   \
    X(FAILED, 4, "failed")                                                                         \
    X(CANCELLED, 5, "cancelled")

enum ai_run_state {
#define AI_RUN_STATE_ENUM(name, number, text) AI_RUN_##name = number,
    AI_RUN_STATES(AI_RUN_STATE_ENUM)
#undef AI_RUN_STATE_ENUM
};

/* X(name, text): why an attempt failed. On disk: only ever append. */
#define AI_RUN_ERRORS(X)                                                                           \
    X(NONE, "none")                                                                                \
    X(INPUT, "no_input")            /* the incident is not there, or could not be read */          \
    X(NO_ANSWER, "no_answer")       /* no connection, or it broke */                               \
    X(TIMEOUT, "timeout")           /* the attempt took longer than it may */                      \
    X(RATE_LIMITED, "rate_limited") /* 429 */                                                      \
    X(SERVER, "server_error")       /* 5xx, 408, 425 */                                            \
    X(REFUSED, "request_refused")   /* any other status: the key, the model, the request */        \
    X(BAD_ANSWER, "bad_answer")     /* not a chat completion */                                    \
    X(CUT_OFF, "cut_off")           /* finish_reason is length */                                  \
    X(FILTERED, "filtered")         /* a content filter, or the model refuses */                   \
    X(INVALID, "invalid_output")    /* not of the shape, after all repairs */                      \
    X(CANCELLED, "cancelled")

enum ai_run_error {
#define AI_RUN_ERROR_ENUM(name, text) AI_RUN_ERROR_##name,
    AI_RUN_ERRORS(AI_RUN_ERROR_ENUM)
#undef AI_RUN_ERROR_ENUM
        AI_RUN_ERROR_COUNT,
};

/* What checking the output came to. On disk: only ever append. */
enum ai_run_validation {
    AI_RUN_UNCHECKED, /* there was nothing to check */
    AI_RUN_VALID,
    AI_RUN_INVALID, /* the section PROBLEMS says why */
    AI_RUN_VALIDATION_COUNT,
};

/* On disk: one attempt. Times are unix ms, 0: not reached. Sums of its calls. */
struct ai_run_attempt {
    uint64_t started_ms;
    uint64_t first_byte_ms; /* of the first answer */
    uint64_t ended_ms;
    uint64_t cost_micro_usd;
    uint32_t input_tokens;
    uint32_t output_tokens;
    uint32_t cached_tokens;
    uint32_t reasoning_tokens;
    uint16_t http_status; /* of the last answer; 0: none */
    uint8_t number;       /* of the attempt */
    uint8_t call_count;   /* requests sent: 1 and the repairs; 0 without a model server */
    uint8_t finish;       /* enum chat_finish */
    uint8_t error;        /* enum ai_run_error */
    uint8_t validation;   /* enum ai_run_validation */
    uint8_t reserved[9];
};

/* The variable parts, in the order in which they follow the attempts. All are text. */
enum ai_run_section {
    AI_RUN_SECTION_ORG,
    AI_RUN_SECTION_PROJECT,
    AI_RUN_SECTION_KIND,        /* of the job */
    AI_RUN_SECTION_INCIDENT,    /* its id; what the job's payload says */
    AI_RUN_SECTION_PROVIDER,    /* origin of the server that was asked, or "local" */
    AI_RUN_SECTION_MODEL,       /* that was asked */
    AI_RUN_SECTION_ANSWERED,    /* the model that the server says answered; may be empty */
    AI_RUN_SECTION_PROMPT,      /* name and version */
    AI_RUN_SECTION_SCHEMA,      /* of the output */
    AI_RUN_SECTION_PRICES,      /* name of the table of prices; may be empty */
    AI_RUN_SECTION_CORRELATION, /* of the job; may be empty */
    AI_RUN_SECTION_ERROR,       /* of the last attempt; empty when it succeeded */
    AI_RUN_SECTION_PROBLEMS,    /* what was wrong with the last answer; may be empty */
    AI_RUN_SECTION_OUTPUT,      /* contracts/summary_output.h, JSON; SUCCEEDED only */
    AI_RUN_SECTION_COUNT,
};

/* On disk: the head of an AI_RUN. Sums are over all attempts, also those no longer kept. */
struct ai_run_header {
    uint64_t id_low;     /* with created_ms and the partition: the id, and that of the job */
    uint64_t created_ms; /* when it was queued */
    uint64_t written_ms; /* when this image was made */
    uint64_t cost_micro_usd;
    uint64_t input_tokens; /* the four sums: unknown calls count as 0 */
    uint64_t output_tokens;
    uint64_t cached_tokens;
    uint64_t reasoning_tokens;
    uint32_t revision;          /* 1 and up, within the run */
    uint32_t max_tokens;        /* asked for, per call; 0: there is no such thing */
    uint32_t temperature_milli; /* asked for */
    uint32_t confidence_ppm;    /* 0 to 1,000,000, or AI_RUN_CONFIDENCE_UNKNOWN */
    uint8_t prompt_sha256[SHA256_SIZE];
    uint8_t input_sha256[SHA256_SIZE]; /* of what the prompt was filled with; 0: nothing */
    uint8_t state;                     /* enum ai_run_state */
    uint8_t finish;                    /* these three: of the last attempt */
    uint8_t error;
    uint8_t validation;
    uint8_t repair_count; /* answers that had to be corrected, all attempts */
    uint8_t attempt_count;
    uint8_t reserved[2];
    uint32_t sizes[AI_RUN_SECTION_COUNT];
};

static_assert(sizeof(struct ai_run_attempt) == 64, "on disk");
static_assert(offsetof(struct ai_run_attempt, http_status) == 48, "on disk");
static_assert(sizeof(struct ai_run_header) == 208, "on disk");
static_assert(offsetof(struct ai_run_header, revision) == 64, "on disk");
static_assert(offsetof(struct ai_run_header, state) == 144, "on disk");
static_assert(offsetof(struct ai_run_header, sizes) == 152, "on disk");

enum {
    AI_RUN_RECORD_SIZE_MAX = 208 + 64 * AI_RUN_ATTEMPT_COUNT_MAX + 3 * JOB_NAME_SIZE_MAX +
                             7 * AI_RUN_NAME_SIZE_MAX + JOB_CORRELATION_SIZE_MAX +
                             AI_RUN_ERROR_SIZE_MAX + AI_RUN_PROBLEMS_SIZE_MAX +
                             AI_RUN_OUTPUT_SIZE_MAX,
};

/* An AI_RUN, decoded or to be encoded; slices are borrowed. The attempts: oldest first. */
struct ai_run_image {
    struct ai_run_header header;
    struct ai_run_attempt attempts[AI_RUN_ATTEMPT_COUNT_MAX];
    struct slice sections[AI_RUN_SECTION_COUNT];
};

/* Bytes that ai_run_encode() will write, at most AI_RUN_RECORD_SIZE_MAX. */
uint64_t ai_run_size(const struct ai_run_image *image);

/*
 * Writes the payload of an AI_RUN to at least ai_run_size() bytes; returns its size. The image
 * must be one that ai_run_decode() accepts, but for header.sizes.
 */
uint64_t ai_run_encode(const struct ai_run_image *image, char *buffer);

/* Reads an AI_RUN's payload; *ret_image borrows it. 0, or -EBADMSG when it is not one. */
MUST_USE int ai_run_decode(struct slice payload, struct ai_run_image *ret_image);

/* The run's id, and its job's; partition is the record's. */
struct job_id ai_run_id(const struct ai_run_header *header, uint32_t partition);

/* Adds an attempt with its sums, forgetting the oldest when there are too many. */
void ai_run_add_attempt(struct ai_run_image *image, const struct ai_run_attempt *attempt);

/* True when a run in the one state may go to the other. */
MUST_USE bool ai_run_may_move(enum ai_run_state from, enum ai_run_state to);

/* The names on the wire; "unknown" for a number of a later version. */
struct slice ai_run_state_name(uint32_t state);
struct slice ai_run_error_name(uint32_t error);
struct slice ai_run_validation_name(uint32_t validation);

/* True when text is the name of a state; for filters in queries. */
MUST_USE bool ai_run_state_from_name(struct slice text, enum ai_run_state *ret_state);
