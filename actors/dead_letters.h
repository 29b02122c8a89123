/*
 * Dead letters: jobs that will not run again by themselves, shown, replayed and removed.
 *
 * One actor per shard. The letters are the DEAD jobs in the table of the shard's job desk;
 * this actor looks through them, reads what the log holds of them, and writes the facts by
 * which they leave. A request is lent from shard to shard by message: each does its part,
 * the last one sends it home. Nothing of it is another's while it is away.
 *
 *     LIST      every shard puts its best candidates into the page; then each letter of
 *               the page is read where it is, in order
 *     GET       one letter with its payload
 *     DROP      one letter leaves: FACT DROPPED
 *     COUNT     every shard counts: a dry run
 *     REPLAY    the same, then a replay begins where its id says
 *     PROGRESS  how far a replay is
 *     REPLAYS   all that are remembered, of every shard
 *     STOP      a replay ends where it is: what it has not reached stays a dead letter
 *     BATCH     a replay's own: so many letters of this shard become jobs again
 *
 * A replay is durable: a REPLAY in the log says what was asked and that it ended. What it
 * does is {JOB new, FACT REPLAYED} for each letter in one group, so a letter becomes one
 * job or none, however often it is replayed and whatever dies in between: a replay that
 * goes on after a crash finds only letters that are still dead.
 *
 *     dead_letters.c   the actor, requests and their way
 *     dead_pages.c     looking: pages, counts, one letter, and dropping it
 *     dead_replays.c   replays: what was asked, pace, progress
 *     dead_replayer.c  letters of this shard become jobs
 */
#pragma once

#include "actors/outbox.h"
#include "contracts/cursor.h"
#include "contracts/json_writer.h"
#include "contracts/problem.h"
#include "http/exchange.h"
#include "runtime/buffer.h"
#include "runtime/pool.h"
#include "runtime/shard.h"
#include "store/dead_walk.h"
#include "store/durable.h"
#include "store/job_id.h"
#include "store/journal_reader.h"
#include "store/record.h"

enum {
    DEAD_LETTERS_MAGIC = 0x44454144,
    DEAD_REQUEST_MAGIC = 0x44525153,
    DEAD_REQUEST_COUNT_MAX = 16, /* per shard; more at once get a 503 */
    DEAD_REPLAY_COUNT_MAX = 16,  /* per shard, by admission, those remembered included */
    /* What a start finds: it may have one shard, and the one before had as many as can be. */
    DEAD_REPLAY_SLOT_COUNT_MAX = DEAD_REPLAY_COUNT_MAX * SHARD_COUNT_MAX,
    DEAD_PAGE_LIMIT_MAX = 100,
    DEAD_PAGE_LIMIT_DEFAULT = 20,
    DEAD_RATE_DEFAULT = 100, /* letters per second */
    DEAD_RATE_MAX = 10000,
    DEAD_STEP_MAX = 4096,      /* letters looked at per turn */
    DEAD_READ_TRY_MAX = 3,     /* a letter may be carried forward while it is read */
    DEAD_LETTER_SIZE = 65536,  /* as JSON, without its payload: no letter is larger */
    DEAD_PAGE_SIZE = 262144,   /* a page of them ends when this is full */
    DEAD_PAGE_TAIL_SIZE = 256, /* what follows the letters */
    DEAD_SLOT_COUNT = 16,      /* letters becoming jobs at a time */
    DEAD_BATCH_MAX = 64,
};

struct app_shard;
struct dead_letters;
struct dead_replay;

/* Which letters: the filter's, and when ids are given only these of them. */
struct dead_selection {
    struct dead_filter filter;
    uint16_t id_count;
    struct job_id ids[REPLAY_ID_COUNT_MAX];
};

enum dead_operation {
    DEAD_LIST,
    DEAD_GET,
    DEAD_DROP,
    DEAD_COUNT,
    DEAD_REPLAY,
    DEAD_PROGRESS,
    DEAD_REPLAYS,
    DEAD_STOP,
    DEAD_BATCH,
};

/* One letter of a page. */
struct dead_pick {
    struct job_dead_place place;
    struct job_id id;
};

/* A replay as it is shown. */
struct dead_replay_view {
    struct job_id id;
    uint64_t total;
    uint64_t done;
    uint64_t failed; /* could not be replayed: still dead letters */
    uint64_t began_ms;
    uint64_t ended_ms; /* 0: running */
    uint32_t rate_per_s;
    bool is_stopped;
};

/* What a letter is put together from. */
enum dead_part {
    DEAD_PART_JOB,
    DEAD_PART_FIRST_ERROR,
    DEAD_PART_LAST_ERROR,
    DEAD_PART_COUNT,
};

/* One letter being read. Private to dead_pages.c. */
struct dead_reading {
    struct journal_read read;
    struct journal_location locations[DEAD_PART_COUNT];
    struct buffer *buffers[DEAD_PART_COUNT];
    struct slice payloads[DEAD_PART_COUNT];
    uint8_t types[DEAD_PART_COUNT];
    uint8_t part;
    uint8_t try_count;
    bool is_damaged;
};

/* One request. The first group is filled by its maker between acquire and submit. */
struct dead_request {
    uint32_t magic;
    uint8_t operation; /* enum dead_operation */
    uint16_t limit;    /* LIST: letters of the page. BATCH: letters to be replayed */
    uint32_t rate_per_s;
    struct job_id id; /* GET, DROP: the letter. PROGRESS, STOP: the replay */
    struct dead_selection selection;
    struct job_dead_place begin; /* LIST: the page begins behind this place */
    struct cursor_seal seal;     /* LIST: of the cursor behind the page, and of the one given */

    /* Result: PROBLEM_NONE, or why not. */
    uint16_t code;
    uint64_t count;    /* COUNT, REPLAY: letters meant */
    struct slice body; /* LIST, GET, REPLAYS: JSON, in `answer` */
    struct dead_replay_view replay;
    uint32_t done_count;   /* BATCH: letters that became jobs */
    uint32_t failed_count; /* BATCH: that could not */
    bool at_end;           /* BATCH: this shard has no more */
    bool must_wait;        /* BATCH: there is no room now */

    /* Private to dead_*.c. */
    struct dead_letters *home;
    struct dead_letters *at; /* whose it is now */
    struct dead_replay *owner;
    struct actor_id connection;
    uint64_t token;
    bool is_decided;
    bool abandoned;
    uint8_t stage;
    uint32_t shards_left;
    struct dead_walk walk; /* through the letters of the shard it is on */
    uint16_t id_next;      /* of selection.ids */
    uint16_t pick_count;
    uint16_t pick_next;
    uint32_t taken_count; /* BATCH */
    struct list_node link;
    struct dead_pick picks[DEAD_PAGE_LIMIT_MAX + 1];
    struct dead_reading reading;
    struct buffer *answer;
    uint32_t answer_size_needed; /* GET: home sends it again with so much */
    struct json_writer writer;
    struct durable_step step; /* DROP */
    struct journal_record record;
    struct slice record_part;
    char fact[sizeof(struct job_fact_header)];
};

/* One letter on its way to become a job. */
struct dead_slot {
    struct dead_letters *letters;
    bool is_busy;
    struct job_ref ref;
    uint64_t id_low;
    struct job_dead_place from; /* of the walk, before this letter */
    uint16_t id_next;           /* the same, of named letters */
    struct buffer *body;
    struct buffer *image;
    struct journal_read read;
    struct durable_step step;
    struct journal_record records[2];
    struct slice parts[2];
    char fact[sizeof(struct job_fact_header)];
};

/* Private to dead_replayer.c. */
struct dead_replayer {
    struct list_node waiting;     /* batches */
    struct dead_request *current; /* the one at hand */
    struct dead_slot slots[DEAD_SLOT_COUNT];
    uint32_t busy_count;
    bool is_reading;
    bool will_work; /* MSG_DEAD_WORK is on its way */
};

/* One replay. Private to dead_replays.c. */
struct dead_replay {
    struct dead_letters *letters;
    bool is_used;
    bool is_scattered; /* more than one log has held records of it */
    bool is_forgotten; /* nobody sees it any more, but it is carried forward: see dead_replays.c */
    bool is_counted;   /* done is known; after a start it has to be found out */
    bool is_writing;
    bool is_end_written; /* the last thing written, or being written, is that it has ended */
    bool is_away;        /* its own request is at a shard */
    uint32_t partition;
    uint32_t shard;              /* where the next batch goes */
    struct record_replay record; /* with done and failed as they are now */
    struct journal_location location;
    uint32_t size;     /* of its record in the log */
    uint64_t batch_ns; /* when the last batch was sent */
    uint64_t next_ns;  /* not before this the next one */
    struct timer timer;
    struct dead_request visit;
    struct dead_request *starter; /* waits until the replay is durable */
    struct dead_request *stopper; /* waits until it is durable that it has ended */
    struct durable_step step;
    struct journal_record journal_record;
    struct slice record_part;
    char
        bytes[sizeof(struct record_replay) + REPLAY_ID_COUNT_MAX * sizeof(struct record_replay_id)];
};

/* Private to the dead_*.c files; embedded in the app_shard. */
struct dead_letters {
    struct actor actor;
    struct durable durable;
    struct app_shard *home;
    struct outbox outbox;
    struct pool requests; /* of this shard's connections */
    struct dead_replayer replayer;
    struct dead_replay *replays; /* DEAD_REPLAY_SLOT_COUNT_MAX, touched when used */
    uint32_t replay_end;         /* those behind it have never been used */
    uint32_t carry_log;
    uint64_t carry_seq;    /* 0: nothing to carry */
    uint32_t flight_count; /* reads and steps that have not come back */
    bool is_resumed;
    bool old_logs_gone;
    bool is_stopping;
};

/* Reserves the memory. 0 or -errno. Start-up only; the durable is added by the caller. */
MUST_USE int dead_letters_init(struct dead_letters *letters, struct app_shard *home);

/* Frees what dead_letters_init() made. */
void dead_letters_deinit(struct dead_letters *letters);

extern const struct actor_type dead_letters_type;

/* A blank request for this exchange, or NULL when too many are in flight: 503. */
MUST_USE struct dead_request *dead_request_acquire(struct dead_letters *home,
                                                   struct exchange *exchange);

/*
 * Sends it on its way. 0, or -ENOBUFS and it is still the caller's. The answer is
 * MSG_DEAD_ANSWER to the connection, with the exchange's token.
 */
MUST_USE int dead_request_submit(struct dead_request *request);

/* Gives a decided or never submitted request back; nulls the pointer. */
void dead_request_release(struct dead_request **request);

/* The connection is gone. Nulls the pointer. */
void dead_request_abandon(struct dead_request **request);

/* --- for the dead_*.c files -------------------------------------------------- */

/* The shard whose desk keeps the jobs of a partition. */
uint32_t dead_letters_shard_of(const struct dead_letters *letters, uint32_t partition);

/* Done here: to the next shard that has to see it; false when there is none left. */
MUST_USE bool dead_request_move_on(struct dead_request *request);

/* Hands it to this shard. */
void dead_request_send(struct dead_request *request, uint32_t shard);

/* It has been decided: home. */
void dead_request_come_home(struct dead_request *request);

/* Begins a round through the shards that its selection concerns. */
void dead_request_begin_round(struct dead_request *request);

/* Something with a callback is under way, or came back. */
void dead_letters_begin_flight(struct dead_letters *letters);
void dead_letters_end_flight(struct dead_letters *letters);

/* The job, when it is a dead letter, or was one until it was replayed, and the filter takes it. */
MUST_USE bool dead_letters_find(const struct dead_letters *letters,
                                const struct dead_filter *filter, struct job_id id,
                                struct job_ref *ret_ref);

/* dead_pages.c: the parts of requests that look. Each moves the request on. */
void dead_pages_select(struct dead_request *request);
void dead_pages_describe(struct dead_request *request);
void dead_pages_count(struct dead_request *request);
void dead_pages_drop(struct dead_request *request);

/* dead_replays.c: what the log knows of replays. */
extern const struct durable_type durable_replay_type;

/* Once per start of the actor. */
void dead_replays_start(struct dead_letters *letters);

/* What earlier starts wrote to logs of other shards has gone: no end is kept because of it. */
void dead_replays_old_logs_gone(struct dead_letters *letters);

/* A REPLAY whose letters have been counted begins; it comes home when that is durable. */
void dead_replays_begin(struct dead_request *request);

/* Fills in how far the replay is, and sends it home. */
void dead_replays_show(struct dead_request *request);

/* Writes all that are remembered here and the caller may see into the request's answer. */
void dead_replays_list(struct dead_request *request);

/* Ends the replay; the request comes home when that is durable, or it had ended before. */
void dead_replays_stop(struct dead_request *request);

/* The object that shows a replay. */
void dead_replay_write(const struct dead_replay_view *view, struct json_writer *writer);

/* The replay's own request has come back. */
void dead_replays_on_visit(struct dead_replay *replay);

/* True when timer was a replay's, after going on. */
bool dead_replays_on_timer(struct dead_letters *letters, const struct timer *timer);

/* dead_replayer.c: once, before the actor starts. */
void dead_replayer_init(struct dead_letters *letters);

/* A batch has come: it is carried out when those before it have been. */
void dead_replayer_take(struct dead_letters *letters, struct dead_request *request);

/* Goes on as far as possible. */
void dead_replayer_work(struct dead_letters *letters);
