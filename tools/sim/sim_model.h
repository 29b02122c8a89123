/*
 * Sim model: what a perfect server may have done with each event, in plain lines.
 *
 * The workload tells the model what it sends and what it is answered; the model says
 * whether a server that keeps its promises could have answered so, and how often each
 * event may stand in the log. It knows nothing of HTTP, disks or the server's code.
 *
 * An item is an event, or an Idempotency-Key, by number. It may be sent in two variants:
 * the same id with two bodies. For each item the model keeps how many copies are known
 * to be stored, how many attempts are open, and how many ended without an answer that
 * one can trust: each of these may have stored a copy, or may yet.
 *
 *     open --202--> stored            (new: no copy may have been known before)
 *          --202 duplicate--> stored  (somebody must have sent the same before)
 *          --409 conflict-->          (somebody must have sent the other variant)
 *          --409 in flight-->         (the same must be open or unknown elsewhere)
 *          --any other refusal-->     nothing was stored by this attempt
 *          --lost, or 503 with outcome unknown--> unknown
 *
 * The two bodies of an Idempotency-Key are two requests: the unit's own, and one that misuses
 * the key, for each key always the same (sim_model_misuse). Were it another one each time,
 * they would conflict with each other, and their variant would say nothing.
 *
 * When the process is down the log tells: what was unknown is stored or is not.
 *
 * A server may forget ids: after the window, when the table is full, when retention
 * drops a segment. A model made forgetful allows that; all else stays as strict.
 */
#pragma once

#include "runtime/base.h"

enum {
    SIM_ITEM_COUNT_MAX = 8192,
    SIM_VARIANT_COUNT = 2,
    SIM_TIME_TEXT_SIZE = 32, /* a received_at, terminated */
    SIM_UNIT_COUNT_MAX = 8192,
};

/* The number of no item, the index of no unit. */
#define SIM_NONE UINT32_MAX

enum sim_item_kind {
    SIM_ITEM_NAMED,     /* an event whose id the client chose */
    SIM_ITEM_ANONYMOUS, /* an event whose id the server chose: never a duplicate */
    SIM_ITEM_KEY,       /* an Idempotency-Key */
};

/* What a client was told about one item. */
enum sim_answer {
    SIM_ANSWER_NEW,       /* accepted, not a duplicate */
    SIM_ANSWER_DUPLICATE, /* accepted before */
    SIM_ANSWER_STORED,    /* accepted, now or before: batches do not say */
    SIM_ANSWER_CONFLICT,
    SIM_ANSWER_IN_FLIGHT,
    SIM_ANSWER_REFUSED, /* anything else that means: nothing was stored */
    SIM_ANSWER_UNKNOWN, /* no answer, or one that says so */
};

/* Private to sim_model.c, but that it may be read. */
struct sim_item {
    enum sim_item_kind kind;
    uint16_t open_counts[SIM_VARIANT_COUNT];
    uint16_t unknown_counts[SIM_VARIANT_COUNT];
    uint16_t stored_count;
    uint32_t send_count; /* attempts begun */
    uint8_t stored_variant;
    bool was_sent[SIM_VARIANT_COUNT];
    /* Known to be stored while attempts are open: the answer of the first may still come. */
    bool may_be_told_late;
    uint8_t tenant;
    uint64_t open_ns;   /* when the oldest attempt that is open or unknown was sent */
    uint64_t stored_ns; /* not before this: when it was accepted as new */
    char received_at[SIM_TIME_TEXT_SIZE]; /* of the acceptance, once told; else "" */
};

/* How many copies of an item a log may hold. */
struct sim_expectation {
    uint32_t count_min;
    uint32_t count_max;
    bool variants[SIM_VARIANT_COUNT]; /* which may be there */
};

/*
 * Items that were always sent together, in one request: stored whole or not at all, and,
 * unless it was given up, before the unit that the same sender began next.
 */
struct sim_unit {
    uint32_t first;
    uint32_t count;
    uint32_t key;      /* number of the Idempotency-Key's item, or SIM_NONE */
    uint32_t misuse;   /* the item that the key is misused for, or SIM_NONE as yet */
    uint32_t previous; /* the same sender's unit before, or SIM_NONE */
    uint8_t form;      /* how it is sent; the sender's to say */
    bool is_divisible; /* its items may be stored one without the other */
    bool is_acknowledged;
};

/* Zeroed is empty. */
struct sim_model {
    bool is_forgetful;
    /* Forgetful, but not within this time of the acceptance; 0: whenever it likes. */
    uint64_t window_ns;
    uint64_t now_ns; /* kept by the caller */
    uint32_t item_count;
    uint32_t unit_count;
    struct sim_item items[SIM_ITEM_COUNT_MAX];
    struct sim_unit units[SIM_UNIT_COUNT_MAX];
};

/* Adds count items of a kind; returns the number of the first. */
uint32_t sim_model_add(struct sim_model *model, enum sim_item_kind kind, uint32_t count,
                       uint8_t tenant);

/* Makes a unit of the items; returns its index. */
uint32_t sim_model_add_unit(struct sim_model *model, uint32_t first, uint32_t count, uint32_t key,
                            uint32_t previous);

/*
 * The item of the one request that misuses the unit's key, made when it is first asked for. Its
 * number is greater than the key's, those of the unit's own items are smaller: so one can
 * tell from its event for which request a claim was made.
 */
uint32_t sim_model_misuse(struct sim_model *model, uint32_t unit);

/* An attempt begins. */
void sim_model_send(struct sim_model *model, uint32_t number, uint32_t variant);

/* It has ended with answer. NULL, or static text: why a correct server cannot have said so. */
const char *sim_model_answer(struct sim_model *model, uint32_t number, uint32_t variant,
                             enum sim_answer answer);

/*
 * Whether the refusal could be due to this item, while its attempt is still open: for
 * requests of several items, where one is enough.
 */
bool sim_model_may_conflict(const struct sim_model *model, uint32_t number, uint32_t variant);
bool sim_model_may_be_in_flight(const struct sim_model *model, uint32_t number, uint32_t variant);

/*
 * Notes the time of acceptance that an answer gave. NULL, or what is wrong: a repetition must
 * give that of the first acceptance.
 */
const char *sim_model_note_time(struct sim_model *model, uint32_t number, const char *text,
                                size_t size);

/* What a log may hold now. */
void sim_model_expect(const struct sim_model *model, uint32_t number,
                      struct sim_expectation *ret_expectation);

/* The log of a process that is down holds count copies, of this variant: so it is. */
void sim_model_settle(struct sim_model *model, uint32_t number, uint32_t count, uint32_t variant);

/* The log of a process that is down holds count copies, of which one may still go. */
void sim_model_doubt(struct sim_model *model, uint32_t number, uint32_t count, uint32_t variant);
