/*
 * Looking at dead letters, and removing one.
 *
 *     LIST    select (every shard) -> describe (letter by letter, each where it is) -> home
 *     GET     describe -> home; again with a larger answer when the payload needs it
 *     COUNT   count (every shard) -> home
 *
 * A page is chosen by what is in memory; only the letters that are on it are read: at most
 * three records each, and no further than the answer has room. A letter that leaves before
 * it has been read is passed over. One that is carried forward meanwhile is read again from
 * its new place. What the disk does not give back is shown as null, and says so.
 */
#include "actors/app.h"
#include "actors/dead_letters.h"
#include "actors/message_types.h"
#include "contracts/json_member.h"
#include "runtime/sim_point.h"

enum { READ_SIZE_DEFAULT = 4 * SEGMENT_BLOCK_SIZE };

#define KEY(writer, literal) json_writer_key(writer, SLICE_LITERAL(literal))

static struct job_table *table_of(const struct dead_request *request)
{
    return request->at->home->jobs.table;
}

static struct job_id id_of(const struct job_view *view)
{
    return (struct job_id){view->created_ms, view->id_low, view->queue->partition};
}

/* This shard has looked at as much as it may in one turn. */
static void go_on_later(struct dead_request *request)
{
    SOMETIMES("there are more dead letters than one turn looks at");
    dead_request_send(request, request->at->home->shard->index);
}

/* The next shard begins at the front of its own list, behind the same place. */
static void rewind_walk(struct dead_request *request, const struct job_dead_place *from)
{
    request->walk = (struct dead_walk){.from = *from};
}

/* --- a page ---------------------------------------------------------------------------- */

/* Puts the letter into the page, which stays in order and holds one more than is shown. */
static void pick(struct dead_request *request, struct job_ref ref)
{
    struct dead_pick *picks = request->picks;
    struct dead_pick found;
    struct job_view view;
    uint32_t n = request->pick_count;

    job_table_view(table_of(request), ref, &view);
    job_table_dead_place(table_of(request), ref, &found.place);
    found.id = id_of(&view);
    if (n > request->limit)
        n--; /* the last one falls out */
    else
        request->pick_count++;
    for (; n > 0 && job_dead_place_compare(&found.place, &picks[n - 1].place) < 0; n--)
        picks[n] = picks[n - 1];
    picks[n] = found;
}

/* True when no later letter of this shard can come into the page. */
static bool is_beyond(const struct dead_request *request, struct job_ref ref)
{
    struct job_dead_place place;

    if (request->pick_count <= request->limit)
        return false;
    job_table_dead_place(table_of(request), ref, &place);
    return job_dead_place_compare(&place, &request->picks[request->limit].place) >= 0;
}

static void describe_next(struct dead_request *request);

/* The letters are known: from now on they are read. */
static void begin_describing(struct dead_request *request)
{
    request->stage = 1;
    request->pick_next = 0;
    describe_next(request);
}

void dead_pages_select(struct dead_request *request)
{
    struct dead_letters *letters = request->at;
    uint32_t steps_left = DEAD_STEP_MAX;
    struct job_ref ref;

    assert(request->limit > 0 && request->limit <= DEAD_PAGE_LIMIT_MAX);
    for (;;) {
        switch (dead_walk_next(&request->walk, letters->home->jobs.table,
                               &request->selection.filter, &steps_left, &ref)) {
        case DEAD_STEP_PAUSE:
            go_on_later(request);
            return;
        case DEAD_STEP_LETTER:
            if (!is_beyond(request, ref)) {
                pick(request, ref);
                continue;
            }
            break;
        case DEAD_STEP_END:
            break;
        }
        rewind_walk(request, &request->begin);
        if (!dead_request_move_on(request))
            begin_describing(request);
        return;
    }
}

/* --- one letter: writing ----------------------------------------------------------------- */

static void write_text_or_null(struct json_writer *writer, struct slice name, struct slice text)
{
    json_writer_key(writer, name);
    if (text.size > 0)
        json_writer_string(writer, text);
    else
        json_writer_null(writer);
}

static void write_id(struct json_writer *writer, struct slice name, struct job_id id)
{
    char text[UUID_TEXT_SIZE];

    job_id_format(id, text);
    json_member_string(writer, name, (struct slice){text, sizeof(text)});
}

/* The text of a part: a section of a JOB, or what a JOB_FACT says. */
static struct slice text_of(const struct dead_reading *reading, enum dead_part part,
                            enum job_section section)
{
    enum dead_part from = reading->locations[part].bits != 0 ? part : DEAD_PART_JOB;
    struct job_image image;
    struct job_fact fact;

    if (reading->buffers[from] == NULL)
        return (struct slice){NULL, 0};
    if (reading->types[from] == RECORD_JOB &&
        job_image_decode(reading->payloads[from], &image) == 0)
        return image.sections[section];
    if (reading->types[from] == RECORD_JOB_FACT && part != DEAD_PART_JOB &&
        job_fact_decode(reading->payloads[from], &fact) == 0)
        return fact.text;
    return (struct slice){NULL, 0};
}

/* The job at the other end of a replay, as far as it is still known. */
static void write_link(struct dead_request *request, const struct job_view *view)
{
    struct slice name =
        view->is_replayed ? SLICE_LITERAL("replayed_as") : SLICE_LITERAL("replay_of");
    struct job_view other;
    struct job_ref ref;

    if (!view->is_replayed && !view->is_replay)
        return;
    if (!job_table_find(table_of(request), view->link, &ref))
        return;
    job_table_view(table_of(request), ref, &other);
    write_id(&request->writer, name, id_of(&other));
}

static void write_head(struct dead_request *request, const struct job_view *view)
{
    struct json_writer *writer = &request->writer;
    const struct job_queue *queue = view->queue;

    write_id(writer, SLICE_LITERAL("id"), id_of(view));
    KEY(writer, "origin");
    json_writer_begin_string(writer);
    json_writer_string_piece(writer, SLICE_LITERAL("job:"));
    json_writer_string_piece(writer, (struct slice){queue->kind, queue->kind_size});
    json_writer_end_string(writer);
    json_member_string(writer, SLICE_LITERAL("org"), (struct slice){queue->org, queue->org_size});
    json_member_string(writer, SLICE_LITERAL("project"),
                       (struct slice){queue->project, queue->project_size});
    json_member_string(writer, SLICE_LITERAL("reason"),
                       slice_of(job_dead_reason_name(view->reason)));
}

/* Of the lease under which it failed last: workers log it, and other attempts had others. */
static void write_epoch(struct json_writer *writer, uint64_t epoch)
{
    KEY(writer, "last_epoch");
    if (epoch != 0)
        json_writer_u64_text(writer, epoch);
    else
        json_writer_null(writer);
}

static void write_letter(struct dead_request *request, const struct job_view *view)
{
    struct json_writer *writer = &request->writer;
    const struct dead_reading *reading = &request->reading;
    struct slice payload = text_of(reading, DEAD_PART_JOB, JOB_SECTION_PAYLOAD);

    json_writer_begin_object(writer);
    write_head(request, view);
    write_text_or_null(writer, SLICE_LITERAL("key"),
                       text_of(reading, DEAD_PART_JOB, JOB_SECTION_KEY));
    KEY(writer, "attempts");
    json_writer_u64(writer, view->attempt);
    write_epoch(writer, view->last_epoch);
    write_text_or_null(writer, SLICE_LITERAL("first_error"),
                       text_of(reading, DEAD_PART_FIRST_ERROR, JOB_SECTION_FIRST_ERROR));
    write_text_or_null(writer, SLICE_LITERAL("last_error"),
                       text_of(reading, DEAD_PART_LAST_ERROR, JOB_SECTION_LAST_ERROR));
    json_member_time_or_null(writer, SLICE_LITERAL("created_at"), (int64_t)view->created_ms);
    json_member_time_or_null(writer, SLICE_LITERAL("first_failed_at"),
                             (int64_t)view->first_failed_ms);
    json_member_time_or_null(writer, SLICE_LITERAL("dead_at"), (int64_t)view->when_ms);
    write_text_or_null(writer, SLICE_LITERAL("correlation_id"),
                       text_of(reading, DEAD_PART_JOB, JOB_SECTION_CORRELATION));
    KEY(writer, "bytes");
    json_writer_u64(writer, payload.size);
    write_link(request, view);
    if (reading->is_damaged) {
        KEY(writer, "unreadable");
        json_writer_boolean(writer, true);
    }
    if (request->operation == DEAD_GET) {
        KEY(writer, "payload");
        if (payload.size > 0)
            json_writer_raw(writer, payload);
        else
            json_writer_null(writer);
    }
    json_writer_end_object(writer);
}

/* --- one letter: reading ------------------------------------------------------------------ */

static void release_parts(struct dead_request *request)
{
    for (uint32_t i = 0; i < DEAD_PART_COUNT; i++)
        buffer_unref(&request->reading.buffers[i]);
}

static void end_page(struct dead_request *request, bool has_more)
{
    struct json_writer *writer = &request->writer;
    const struct job_dead_place *last;
    struct cursor cursor;
    char text[CURSOR_TEXT_SIZE];
    bool fits;

    json_writer_end_array(writer);
    KEY(writer, "next_cursor");
    if (has_more) {
        assert(request->pick_next > 0);
        last = &request->picks[request->pick_next - 1].place;
        cursor = (struct cursor){{last->dead_ms, last->created_ms, last->order, last->id_low}};
        cursor_write(&request->seal, &cursor, text);
        json_writer_string(writer, (struct slice){text, sizeof(text)});
    } else {
        json_writer_null(writer);
    }
    json_writer_end_object(writer);
    fits = json_writer_finish(writer, &request->body);
    assert(fits);
    dead_request_come_home(request);
}

/* To where the next letter of the page is; home when that was all. */
static void describe_next(struct dead_request *request)
{
    uint32_t shown = (uint32_t)min_u64(request->pick_count, request->limit);

    if (request->pick_next == shown) {
        end_page(request, request->pick_count > shown);
        return;
    }
    request->id = request->picks[request->pick_next].id;
    request->reading.try_count = 0;
    dead_request_send(request, dead_letters_shard_of(request->at, request->id.partition));
}

/* The letter has left, or is none that the caller may see. */
static void miss(struct dead_request *request)
{
    release_parts(request);
    if (request->operation == DEAD_GET) {
        request->code = PROBLEM_NOT_FOUND;
        dead_request_come_home(request);
        return;
    }
    SOMETIMES("a dead letter leaves while its page is read");
    request->pick_next++;
    describe_next(request);
}

static void finish_get(struct dead_request *request)
{
    uint64_t payload_size = request->reading.payloads[DEAD_PART_JOB].size;

    if (json_writer_finish(&request->writer, &request->body)) {
        dead_request_come_home(request);
        return;
    }
    /* Without its payload any letter fits. */
    assert(request->answer->capacity < payload_size + DEAD_LETTER_SIZE);
    request->answer_size_needed = (uint32_t)payload_size + DEAD_LETTER_SIZE;
    dead_request_come_home(request);
}

static void finish_letter(struct dead_request *request, const struct job_view *view)
{
    struct json_writer before = request->writer;
    struct json_writer *writer = &request->writer;

    write_letter(request, view);
    release_parts(request);
    if (request->operation == DEAD_GET) {
        finish_get(request);
        return;
    }
    if (writer->overflowed || writer->capacity - writer->size < DEAD_PAGE_TAIL_SIZE) {
        SOMETIMES("a page of dead letters ends before its limit");
        request->writer = before;
        end_page(request, true);
        return;
    }
    request->pick_next++;
    describe_next(request);
}

static void fill_locations(const struct job_view *view, struct dead_reading *reading)
{
    reading->locations[DEAD_PART_JOB] = view->location;
    reading->locations[DEAD_PART_FIRST_ERROR] = view->first_error;
    reading->locations[DEAD_PART_LAST_ERROR] = view->last_error;
}

static bool has_moved(const struct job_view *view, const struct dead_reading *reading)
{
    return view->location.bits != reading->locations[DEAD_PART_JOB].bits ||
           view->first_error.bits != reading->locations[DEAD_PART_FIRST_ERROR].bits ||
           view->last_error.bits != reading->locations[DEAD_PART_LAST_ERROR].bits;
}

static void read_next(struct dead_request *request, uint32_t size);

/* All parts are there: written, unless the letter is elsewhere by now. */
static void finish_reading(struct dead_request *request)
{
    struct dead_reading *reading = &request->reading;
    struct job_view view;
    struct job_ref ref;

    if (!dead_letters_find(request->at, &request->selection.filter, request->id, &ref)) {
        miss(request);
        return;
    }
    job_table_view(table_of(request), ref, &view);
    if (has_moved(&view, reading) && reading->try_count < DEAD_READ_TRY_MAX) {
        SOMETIMES("a dead letter is carried forward while it is read");
        release_parts(request);
        dead_pages_describe(request);
        return;
    }
    finish_letter(request, &view);
}

static void on_read(struct journal_read *read, enum journal_read_result result,
                    const struct journal_record_view *view)
{
    struct dead_request *request = container_of(read, struct dead_request, reading.read);
    struct dead_reading *reading = &request->reading;
    struct dead_letters *letters = request->at;

    if (!actor_is_running(&letters->actor)) {
        release_parts(request); /* killed at the end of its time: nobody waits any more */
    } else if (result == JOURNAL_READ_TOO_BIG) {
        read_next(request, read->size_needed);
    } else {
        if (result == JOURNAL_READ_OK) {
            reading->payloads[reading->part] = view->payload;
            reading->types[reading->part] = view->type;
        } else {
            SOMETIMES("a dead letter cannot be read");
            buffer_unref(&reading->buffers[reading->part]);
            reading->is_damaged = true;
        }
        reading->part++;
        read_next(request, READ_SIZE_DEFAULT);
    }
    dead_letters_end_flight(letters);
}

/* The next part that has a record of its own; first and last error are often the same. */
static void skip_parts(struct dead_reading *reading)
{
    while (reading->part < DEAD_PART_COUNT && reading->locations[reading->part].bits == 0)
        reading->part++;
}

static void read_next(struct dead_request *request, uint32_t size)
{
    struct dead_reading *reading = &request->reading;

    skip_parts(reading);
    if (reading->part == DEAD_PART_COUNT) {
        finish_reading(request);
        return;
    }
    buffer_unref(&reading->buffers[reading->part]);
    if (buffer_acquire(request->at->home->buffers, size, &reading->buffers[reading->part]) < 0) {
        reading->is_damaged = true;
        reading->part++;
        read_next(request, READ_SIZE_DEFAULT);
        return;
    }
    memset(&reading->read, 0, sizeof(reading->read));
    reading->read.on_done = on_read;
    reading->read.location = reading->locations[reading->part];
    reading->read.buffer = reading->buffers[reading->part]->data;
    reading->read.buffer_size = reading->buffers[reading->part]->capacity;
    dead_letters_begin_flight(request->at);
    journal_read_start(request->at->home->keeper.reader, &reading->read);
}

void dead_pages_describe(struct dead_request *request)
{
    struct dead_reading *reading = &request->reading;
    struct job_view view;
    struct job_ref ref;

    if (!dead_letters_find(request->at, &request->selection.filter, request->id, &ref)) {
        miss(request);
        return;
    }
    job_table_view(table_of(request), ref, &view);
    fill_locations(&view, reading);
    memset(reading->payloads, 0, sizeof(reading->payloads));
    reading->part = DEAD_PART_JOB;
    reading->is_damaged = false;
    reading->try_count++;
    read_next(request, READ_SIZE_DEFAULT);
}

/* --- counting -------------------------------------------------------------------------------- */

static void count_named(struct dead_request *request)
{
    const struct dead_selection *selection = &request->selection;
    uint32_t here = request->at->home->shard->index;
    struct job_view view;
    struct job_ref ref;

    for (uint32_t i = 0; i < selection->id_count; i++) {
        struct job_id id = selection->ids[i];

        if (dead_letters_shard_of(request->at, id.partition) != here ||
            !dead_letters_find(request->at, &selection->filter, id, &ref))
            continue;
        job_table_view(table_of(request), ref, &view);
        request->count += view.is_replayed ? 0 : 1;
    }
}

/* False: the rest of this shard comes in another turn. */
MUST_USE static bool count_filtered(struct dead_request *request)
{
    uint32_t steps_left = DEAD_STEP_MAX;
    struct job_ref ref;

    for (;;) {
        switch (dead_walk_next(&request->walk, table_of(request), &request->selection.filter,
                               &steps_left, &ref)) {
        case DEAD_STEP_PAUSE:
            return false;
        case DEAD_STEP_LETTER:
            request->count++;
            break;
        case DEAD_STEP_END:
            return true;
        }
    }
}

void dead_pages_count(struct dead_request *request)
{
    if (request->selection.id_count > 0) {
        count_named(request);
    } else if (!count_filtered(request)) {
        go_on_later(request);
        return;
    }
    rewind_walk(request, &request->begin);
    if (dead_request_move_on(request))
        return;
    if (request->operation != DEAD_REPLAY) {
        dead_request_come_home(request);
        return;
    }
    request->stage = 1;
    dead_request_send(request, dead_letters_shard_of(request->at, request->id.partition));
}

/* --- dropping ----------------------------------------------------------------------------------
 */

static void on_dropped(struct durable_step *step, enum durable_outcome outcome)
{
    struct dead_request *request = container_of(step, struct dead_request, step);
    struct dead_letters *letters = request->at;

    if (outcome == DURABLE_UNKNOWN)
        request->code = PROBLEM_STORAGE_FAILED;
    if (actor_is_running(&letters->actor))
        dead_request_come_home(request);
    dead_letters_end_flight(letters);
}

static enum problem_code problem_of_claim(enum job_claim claim)
{
    switch (claim) {
    case JOB_CLAIMED:
        return PROBLEM_NONE;
    case JOB_CLAIM_BUSY:
        return PROBLEM_JOB_BUSY;
    case JOB_CLAIM_UNKNOWN:
    case JOB_CLAIM_STALE:
    case JOB_CLAIM_REPEATED:
    case JOB_CLAIM_TERMINAL:
    case JOB_CLAIM_DLQ_FULL:
        break;
    }
    return PROBLEM_NOT_FOUND;
}

/* Writes the fact; the claim is given back when that is refused. */
static void write_drop(struct dead_request *request, struct job_ref ref)
{
    struct dead_letters *letters = request->at;
    struct job_desk *desk = &letters->home->jobs;
    struct job_fact fact = {.header = {.id_low = request->id.id_low,
                                       .at_ms = job_desk_now(desk),
                                       .kind = JOB_FACT_DROPPED}};

    request->record_part = (struct slice){request->fact, job_fact_encode(&fact, request->fact)};
    job_desk_fill_record(desk, ref, RECORD_JOB_FACT, &request->record_part, &request->record);
    request->step = (struct durable_step){
        .on_done = on_dropped, .records = &request->record, .record_count = 1};
    dead_letters_begin_flight(letters);
    if (durable_commit_later(&letters->home->keeper.durables, &request->step))
        return;
    job_table_unclaim(desk->table, ref);
    request->code = PROBLEM_STORAGE_FAILED;
    dead_request_come_home(request);
    dead_letters_end_flight(letters);
}

void dead_pages_drop(struct dead_request *request)
{
    struct job_ref ref;

    request->code = PROBLEM_NOT_FOUND;
    if (dead_letters_find(request->at, &request->selection.filter, request->id, &ref))
        request->code = (uint16_t)problem_of_claim(job_table_claim(
            table_of(request), request->id.id_low, false, 0, JOB_FACT_DROPPED, &ref));
    if (request->code != PROBLEM_NONE) {
        dead_request_come_home(request);
        return;
    }
    SOMETIMES("a dead letter is dropped by an operator");
    write_drop(request, ref);
}
