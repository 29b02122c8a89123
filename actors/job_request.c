#include "actors/job_request.h"

#include <errno.h>

#include "actors/app.h"
#include "actors/message_types.h"
#include "runtime/sim_point.h"

/*
 * Both ways a request is lent by message; when home and owner are the same shard it is
 * handed over by a call. All that has to be written is encoded here, on the shard that
 * has the body, so that the owner only fills in ids and times:
 *
 *     facts:  [ journal records | a slice for each | encoded JOBs or JOB_FACTs ]
 *
 * A connection that goes while its lease waits must not be given jobs: home says FORGET.
 * That message and the decided request may cross on their way, so the request is free
 * only when it has come home and every FORGET has been answered.
 */

static void request_check(const struct job_request *request)
{
    assert(request->magic == JOB_REQUEST_MAGIC);
    assert(request->home != NULL);
    assert(request->phase <= JOB_REQUEST_DECIDED);
}

struct job_request *job_request_acquire(struct job_desk *home, struct exchange *exchange)
{
    struct job_request *request =
        FAILPOINT("no job request is free") ? NULL : pool_acquire(&home->requests);

    if (request == NULL)
        return NULL;
    memset(request, 0, sizeof(*request));
    request->magic = JOB_REQUEST_MAGIC;
    request->phase = JOB_REQUEST_FILLING;
    request->code = PROBLEM_NONE;
    request->home = home;
    request->connection = exchange->actor->id;
    request->token = exchange->token;
    list_init(&request->link);
    list_init(&request->desk_link);
    return request;
}

int job_request_make_room(struct job_request *request, uint32_t item_count)
{
    size_t size = sizeof(struct job_item) * (size_t)item_count;
    int r;

    request_check(request);
    assert(request->phase == JOB_REQUEST_FILLING);
    assert(item_count > 0);
    r = buffer_acquire(request->home->home->buffers, size, &request->work);
    if (r < 0)
        return r;
    memset(request->work->data, 0, size);
    request->items = (struct job_item *)(void *)request->work->data;
    return 0;
}

static void free_request(struct job_request *request)
{
    struct job_desk *home = request->home;
    void *slot = request;

    assert(list_is_empty(&request->link));
    buffer_unref(&request->work);
    buffer_unref(&request->facts);
    buffer_unref(&request->answer);
    request->magic = 0;
    pool_release(&home->requests, &slot);
}

/* --- encoding --------------------------------------------------------------- */

/* Items that bring a text to be written: all but those of a plain lease or look. */
static uint32_t fact_count(const struct job_request *request)
{
    switch ((enum job_operation)request->operation) {
    case JOB_ENQUEUE:
    case JOB_FINISH:
    case JOB_EXTEND:
    case JOB_CANCEL:
        return request->item_count;
    case JOB_LEASE:
        return request->finish_count;
    case JOB_QUEUE_SET:
        return 1;
    case JOB_GET:
    case JOB_QUEUE_GET:
    case JOB_QUEUE_LIST:
    case JOB_RETURN:
        return 0;
    }
    return 0;
}

static uint64_t aligned(uint64_t size)
{
    return (size + 7) & ~(uint64_t)7;
}

static uint64_t encoded_size(const struct job_request *request, uint32_t n)
{
    if (request->operation == JOB_QUEUE_SET)
        return aligned(JOB_QUEUE_RECORD_SIZE_MAX);
    if (request->operation == JOB_ENQUEUE)
        return aligned(job_image_size(&request->items[n].image));
    return aligned(sizeof(struct job_fact_header) + request->items[n].text.size);
}

/* Stand for ids until the owner has drawn them: valid, and not ANY_ID. */
enum { ANY_ID = 1, OTHER_ID = 2 };
#define FOUR_IDS OTHER_ID, OTHER_ID, OTHER_ID, OTHER_ID
#define SIXTEEN_IDS FOUR_IDS, FOUR_IDS, FOUR_IDS, FOUR_IDS

/* The sections that are the request's own and not the client's. */
static void complete_image(struct job_request *request, struct job_item *item)
{
    static const uint64_t any_ids[] = {SIXTEEN_IDS, SIXTEEN_IDS, SIXTEEN_IDS, SIXTEEN_IDS};

    static_assert(ARRAY_COUNT(any_ids) == JOB_AFTER_COUNT_MAX, "one for each");
    item->image.sections[JOB_SECTION_ORG] = (struct slice){request->org, request->org_size};
    item->image.sections[JOB_SECTION_PROJECT] =
        (struct slice){request->project, request->project_size};
    item->image.after = any_ids; /* known when the owner has drawn them */
    item->image.header.after_count = (uint16_t)item->image.after_count;
}

static void encode_item(struct job_request *request, struct job_item *item, char *bytes)
{
    struct job_image image;
    uint64_t size = sizeof(struct job_fact_header) + item->text.size;
    int r;

    if (request->operation != JOB_ENQUEUE) {
        /* The head is the owner's to write. */
        memset(bytes, 0, sizeof(struct job_fact_header));
        if (item->text.size > 0)
            memcpy(bytes + sizeof(struct job_fact_header), item->text.data, item->text.size);
        item->encoded = (struct slice){bytes, size};
        item->text = (struct slice){bytes + sizeof(struct job_fact_header), item->text.size};
        return;
    }
    /* Valid for the decoder that follows; the owner says what it will really be. */
    item->image.header.id_low = ANY_ID;
    item->image.header.state = JOB_QUEUED;
    size = job_image_encode(&item->image, bytes);
    item->encoded = (struct slice){bytes, size};
    r = job_image_decode(item->encoded, &image);
    assert(r == 0);
    memcpy(item->image.sections, image.sections, sizeof(image.sections));
    item->image.after = image.after;
}

/* Lays out the facts. 0, or -ENOBUFS / -EMSGSIZE. */
MUST_USE static int encode(struct job_request *request)
{
    uint32_t count = fact_count(request);
    uint64_t offset = count * (sizeof(struct journal_record) + sizeof(struct slice));
    uint64_t size = offset;
    struct slice *parts;
    int r;

    if (count == 0)
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        if (request->operation == JOB_ENQUEUE)
            complete_image(request, &request->items[i]);
        size += encoded_size(request, i);
    }
    r = buffer_acquire(request->home->home->buffers, size, &request->facts);
    if (r < 0)
        return r;
    memset(request->facts->data, 0, offset);
    request->records = (struct journal_record *)(void *)request->facts->data;
    parts = (struct slice *)(void *)(request->records + count);
    for (uint32_t i = 0; i < count; i++) {
        if (request->operation != JOB_QUEUE_SET) {
            uint64_t room = encoded_size(request, i);

            encode_item(request, &request->items[i], request->facts->data + offset);
            offset += room;
        } else {
            parts[i].data = request->facts->data + offset;
        }
        request->records[i].parts = &parts[i];
        request->records[i].part_count = 1;
    }
    return 0;
}

/* --- there and back ---------------------------------------------------------- */

static void lend(struct job_request *request)
{
    struct job_desk *home = request->home;

    request->phase = JOB_REQUEST_LENT;
    if (request->owner == home)
        job_desk_do(home, request);
    else
        outbox_send(&home->outbox, &home->actor, request->owner->actor.id, MSG_JOB_DO, 0, request);
}

/* Room for the bodies of a lease or the texts of a job. */
MUST_USE static int acquire_answer(struct job_request *request, uint64_t size)
{
    buffer_unref(&request->answer);
    return buffer_acquire(request->home->home->buffers, size, &request->answer);
}

/*
 * Leases that wait must not leave the others without a request: when three quarters are
 * lent, those who ask for more are answered at once.
 */
static void limit_waiting(struct job_request *request)
{
    const struct pool *pool = &request->home->requests;

    if (request->wait_ms == 0 || pool_used_count(pool) * 4 <= pool->slot_count * 3)
        return;
    SOMETIMES("too many leases wait for one more to do so");
    request->wait_ms = 0;
}

int job_request_submit(struct job_request *request)
{
    int r;

    request_check(request);
    assert(request->phase == JOB_REQUEST_FILLING);
    request->owner =
        job_desk_of_project(request->home->home, (struct slice){request->org, request->org_size},
                            (struct slice){request->project, request->project_size});
    r = encode(request);
    if (r == 0 && request->operation == JOB_QUEUE_LIST)
        r = acquire_answer(request, request->limit * sizeof(struct job_queue_line));
    if (r == 0 && (request->operation == JOB_LEASE || request->operation == JOB_GET))
        r = acquire_answer(request,
                           request->limit > 1 ? JOB_ANSWER_BATCH_SIZE : JOB_ANSWER_SIZE_MIN);
    if (r < 0)
        return r;
    limit_waiting(request);
    if (request->owner != request->home)
        SOMETIMES("a job request goes to another shard");
    lend(request);
    return 0;
}

/* Nobody is there to work on what was leased: it goes back and is anybody's at once. */
static bool gives_back(struct job_request *request)
{
    if (request->operation != JOB_LEASE || request->leased_count == 0)
        return false;
    SOMETIMES("a lease finds its connection gone and goes back");
    request->operation = JOB_RETURN;
    lend(request);
    return true;
}

static void finish_abandoned(struct job_request *request)
{
    request->phase = JOB_REQUEST_DECIDED;
    if (!gives_back(request) && !request->forget_sent)
        free_request(request);
}

void job_request_came_back(struct job_request *request)
{
    struct job_desk *home = request->home;

    request_check(request);
    assert(request->phase == JOB_REQUEST_LENT);
    if (request->abandoned) {
        finish_abandoned(request);
        return;
    }
    if (request->answer_size_needed > 0) {
        uint32_t size = request->answer_size_needed;

        SOMETIMES("a job's body needs a larger answer");
        request->answer_size_needed = 0;
        if (acquire_answer(request, size) == 0) {
            lend(request);
            return;
        }
        request->code = PROBLEM_OVERLOADED;
    }
    request->phase = JOB_REQUEST_DECIDED;
    outbox_send(&home->outbox, &home->actor, request->connection, MSG_JOB_ANSWER, request->token,
                request);
}

void job_request_forgotten(struct job_request *request)
{
    request_check(request);
    assert(request->forget_sent);
    request->forget_sent = false;
    if (request->phase == JOB_REQUEST_DECIDED)
        free_request(request);
}

void job_request_release(struct job_request **request)
{
    request_check(*request);
    assert((*request)->phase != JOB_REQUEST_LENT);
    free_request(*request);
    *request = NULL;
}

void job_request_abandon(struct job_request **request)
{
    struct job_request *it = *request;
    struct job_desk *home = it->home;

    request_check(it);
    *request = NULL;
    it->abandoned = true;
    switch ((enum job_request_phase)it->phase) {
    case JOB_REQUEST_FILLING:
        free_request(it);
        return;
    case JOB_REQUEST_DECIDED:
        /* The answer was on its way. Whether it would have been sent is not known: not sent. */
        finish_abandoned(it);
        return;
    case JOB_REQUEST_LENT:
        SOMETIMES("a connection goes while its job request is away");
        if (it->operation != JOB_LEASE)
            return;
        if (it->owner == home) {
            job_delivery_stop_waiting(home, it);
            return;
        }
        it->forget_sent = true;
        outbox_send(&home->outbox, &home->actor, it->owner->actor.id, MSG_JOB_FORGET, 0, it);
        return;
    }
}
