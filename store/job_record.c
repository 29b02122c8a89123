#include "store/job_record.h"

#include <errno.h>

#include "runtime/retry.h"
#include "store/job_id.h"
#include "store/record_layout.h"

/*
 *     JOB        struct job_image_header, after_count x id_low, sections
 *                (store/record_layout.h) in the order of enum job_section
 *     JOB_FACT   struct job_fact_header, text
 *     JOB_QUEUE  struct job_queue_header, org, project, kind
 *
 * Nothing is padded; a payload ends where its sizes say, to the byte. It may lie at
 * any address, so heads are copied out before they are looked at, and the ids through
 * job_image_after().
 *
 * There is one check per kind, and both ways go through it: decoding refuses what it
 * does not like, encoding asserts it. So no bug of ours can write a log that the next
 * start would refuse.
 */

enum { CREATED_BITS = 48 };

static const struct record_section_bounds SECTIONS[JOB_SECTION_COUNT] = {
    [JOB_SECTION_ORG] = {1, JOB_NAME_SIZE_MAX},
    [JOB_SECTION_PROJECT] = {1, JOB_NAME_SIZE_MAX},
    [JOB_SECTION_KIND] = {1, JOB_NAME_SIZE_MAX},
    [JOB_SECTION_KEY] = {0, JOB_KEY_SIZE_MAX},
    [JOB_SECTION_CORRELATION] = {0, JOB_CORRELATION_SIZE_MAX},
    [JOB_SECTION_PAYLOAD] = {0, JOB_PAYLOAD_SIZE_MAX},
    [JOB_SECTION_FIRST_ERROR] = {0, JOB_TEXT_SIZE_MAX},
    [JOB_SECTION_LAST_ERROR] = {0, JOB_TEXT_SIZE_MAX},
    [JOB_SECTION_RESULT] = {0, JOB_RESULT_SIZE_MAX},
    [JOB_SECTION_PROGRESS] = {0, JOB_PROGRESS_SIZE_MAX},
};

/* What a kind of fact may say in its text; 0: nothing. */
static const uint32_t FACT_TEXT_SIZE_MAX[JOB_FACT_KIND_COUNT] = {
    [JOB_FACT_RETRY] = JOB_TEXT_SIZE_MAX,
    [JOB_FACT_COMPLETED] = JOB_RESULT_SIZE_MAX,
    [JOB_FACT_DEAD] = JOB_TEXT_SIZE_MAX,
    [JOB_FACT_PROGRESS] = JOB_PROGRESS_SIZE_MAX,
};

/* What is on disk is judged by number: it need not be one of the enum's. */
static bool state_is_storable(uint32_t state)
{
    return state == JOB_SCHEDULED || state == JOB_WAITING || state == JOB_QUEUED ||
           state == JOB_COMPLETED || state == JOB_DEAD || state == JOB_CANCELLED;
}

static bool id_is_valid(uint64_t id_low)
{
    return id_low != 0 && id_low <= JOB_ID_LOW_MAX;
}

static char *put(char *at, const void *bytes, size_t size)
{
    if (size > 0)
        memcpy(at, bytes, size);
    return at + size;
}

/* --- JOB ------------------------------------------------------------------- */

/* True when the numbers of a head are possible and go together. */
static bool header_is_valid(const struct job_image_header *header)
{
    uint32_t both = JOB_FLAG_REPLAYED | JOB_FLAG_IS_REPLAY;
    bool is_dead = header->state == JOB_DEAD;

    if (!id_is_valid(header->id_low) || header->created_ms >> CREATED_BITS != 0)
        return false;
    if (!state_is_storable(header->state) || header->priority >= JOB_PRIORITY_COUNT)
        return false;
    if (header->unique > JOB_UNIQUE_IDEMPOTENCY || header->on_failure > JOB_ON_FAILURE_IGNORE)
        return false;
    if ((header->flags & ~(JOB_FLAG_CARRIED | JOB_FLAG_LAPSED | both)) != 0 ||
        header->link > JOB_ID_LOW_MAX)
        return false;
    if ((header->flags & JOB_FLAG_LAPSED) != 0 && (!is_dead || header->unique == JOB_UNIQUE_NONE))
        return false;
    if ((header->flags & both) != 0 && header->link == 0)
        return false;
    if ((header->flags & JOB_FLAG_REPLAYED) != 0 && !is_dead)
        return false;
    if (is_dead != (header->reason != JOB_DEAD_NONE) || header->reason >= JOB_DEAD_REASON_COUNT)
        return false;
    return (header->flags & JOB_FLAG_CARRIED) != 0 ||
           record_is_zero(header->order, sizeof(header->order));
}

/* True when the parts that follow the head are possible. */
static bool parts_are_valid(const struct job_image *image)
{
    const struct job_image_header *header = &image->header;

    if (header->after_count > JOB_AFTER_COUNT_MAX ||
        header->after_failed_count > JOB_AFTER_COUNT_MAX)
        return false;
    if (header->after_count > 0 && header->on_failure == JOB_ON_FAILURE_NONE)
        return false;
    for (uint32_t i = 0; i < header->after_count; i++) {
        uint64_t id_low = job_image_after(image, i);

        if (!id_is_valid(id_low) || id_low == header->id_low)
            return false;
    }
    return record_sections_fit(image->sections, SECTIONS, JOB_SECTION_COUNT);
}

uint64_t job_image_size(const struct job_image *image)
{
    return sizeof(image->header) + image->after_count * sizeof(uint64_t) +
           record_sections_size(image->sections, JOB_SECTION_COUNT);
}

uint64_t job_image_encode(const struct job_image *image, char *buffer)
{
    struct job_image whole = *image;
    char *at = buffer;

    assert(image->after_count <= JOB_AFTER_COUNT_MAX);
    whole.header.after_count = (uint16_t)image->after_count;
    assert(header_is_valid(&whole.header));
    assert(parts_are_valid(&whole));
    for (uint32_t i = 0; i < JOB_SECTION_COUNT; i++)
        whole.header.sizes[i] = (uint32_t)image->sections[i].size;
    at = put(at, &whole.header, sizeof(whole.header));
    at = put(at, image->after, image->after_count * sizeof(uint64_t));
    return (uint64_t)(at - buffer) + record_sections_write(image->sections, JOB_SECTION_COUNT, at);
}

int job_image_decode(struct slice payload, struct job_image *ret_image)
{
    struct job_image image = {.after = NULL};
    uint64_t head_size = sizeof(image.header);

    if (payload.size < sizeof(image.header))
        return -EBADMSG;
    memcpy(&image.header, payload.data, sizeof(image.header));
    if (!header_is_valid(&image.header))
        return -EBADMSG;
    image.after_count = image.header.after_count;
    if (image.after_count > 0)
        image.after = (const void *)(payload.data + head_size);
    head_size += image.after_count * sizeof(uint64_t);
    if (!record_sections_read(payload, head_size, image.header.sizes, JOB_SECTION_COUNT,
                              image.sections) ||
        !parts_are_valid(&image))
        return -EBADMSG;
    *ret_image = image;
    return 0;
}

uint64_t job_image_after(const struct job_image *image, uint32_t n)
{
    uint64_t id_low;

    assert(n < image->after_count);
    memcpy(&id_low, (const char *)image->after + n * sizeof(id_low), sizeof(id_low));
    return id_low;
}

/* --- JOB_FACT --------------------------------------------------------------- */

static bool fact_is_valid(const struct job_fact_header *header)
{
    bool is_dead = header->kind == JOB_FACT_DEAD;

    if (!id_is_valid(header->id_low) || header->link > JOB_ID_LOW_MAX)
        return false;
    if (header->kind == 0 || header->kind >= JOB_FACT_KIND_COUNT)
        return false;
    if (header->text_size > FACT_TEXT_SIZE_MAX[header->kind])
        return false;
    if (header->kind == JOB_FACT_REPLAYED && (header->link == 0 || header->link == header->id_low))
        return false;
    return is_dead == (header->reason != JOB_DEAD_NONE) && header->reason < JOB_DEAD_REASON_COUNT;
}

uint64_t job_fact_size(const struct job_fact *fact)
{
    return sizeof(fact->header) + fact->text.size;
}

uint64_t job_fact_encode(const struct job_fact *fact, char *buffer)
{
    struct job_fact_header header = fact->header;
    char *at = buffer;

    assert(fact->text.size <= JOB_RESULT_SIZE_MAX);
    header.text_size = (uint32_t)fact->text.size;
    assert(fact_is_valid(&header));
    at = put(at, &header, sizeof(header));
    at = put(at, fact->text.data, fact->text.size);
    return (uint64_t)(at - buffer);
}

int job_fact_decode(struct slice payload, struct job_fact *ret_fact)
{
    struct job_fact fact;

    if (payload.size < sizeof(fact.header))
        return -EBADMSG;
    memcpy(&fact.header, payload.data, sizeof(fact.header));
    fact.text = (struct slice){payload.data + sizeof(fact.header), fact.header.text_size};
    if (fact.text.size != payload.size - sizeof(fact.header) || !fact_is_valid(&fact.header))
        return -EBADMSG;
    *ret_fact = fact;
    return 0;
}

/* --- JOB_QUEUE -------------------------------------------------------------- */

static bool name_is_valid(size_t size)
{
    return size > 0 && size <= JOB_NAME_SIZE_MAX;
}

static bool retry_is_valid(const struct job_queue_retry *retry)
{
    if (retry->is_set == 0)
        return true;
    return retry->is_set <= 1 + JOB_PRESET_COUNT_MAX && retry->jitter <= RETRY_JITTER_FULL &&
           retry->base_ms <= retry->cap_ms && retry->max_attempts > 0;
}

static bool settings_are_valid(const struct job_queue_settings *settings)
{
    return (settings->flags & ~(uint32_t)(JOB_QUEUE_PAUSED | JOB_QUEUE_DRAINING)) == 0 &&
           retry_is_valid(&settings->retry) && settings->reserved == 0;
}

uint64_t job_queue_record_size(const struct job_queue_record *record)
{
    return sizeof(struct job_queue_header) + record->org.size + record->project.size +
           record->kind.size;
}

uint64_t job_queue_record_encode(const struct job_queue_record *record, char *buffer)
{
    struct job_queue_header header = {.settings = record->settings};
    char *at = buffer;

    assert(name_is_valid(record->org.size));
    assert(name_is_valid(record->project.size));
    assert(name_is_valid(record->kind.size));
    assert(settings_are_valid(&record->settings));
    header.org_size = (uint8_t)record->org.size;
    header.project_size = (uint8_t)record->project.size;
    header.kind_size = (uint8_t)record->kind.size;
    at = put(at, &header, sizeof(header));
    at = put(at, record->org.data, record->org.size);
    at = put(at, record->project.data, record->project.size);
    at = put(at, record->kind.data, record->kind.size);
    return (uint64_t)(at - buffer);
}

int job_queue_record_decode(struct slice payload, struct job_queue_record *ret_record)
{
    struct job_queue_header header;
    struct job_queue_record record;
    const char *at;

    if (payload.size < sizeof(header))
        return -EBADMSG;
    memcpy(&header, payload.data, sizeof(header));
    if (!name_is_valid(header.org_size) || !name_is_valid(header.project_size) ||
        !name_is_valid(header.kind_size))
        return -EBADMSG;
    if (!settings_are_valid(&header.settings) ||
        !record_is_zero(header.reserved, sizeof(header.reserved)))
        return -EBADMSG;
    at = payload.data + sizeof(header);
    record.settings = header.settings;
    record.org = (struct slice){at, header.org_size};
    record.project = (struct slice){at + header.org_size, header.project_size};
    record.kind = (struct slice){at + header.org_size + header.project_size, header.kind_size};
    if (job_queue_record_size(&record) != payload.size)
        return -EBADMSG;
    *ret_record = record;
    return 0;
}

/* --- words ------------------------------------------------------------------ */

bool job_state_is_terminal(enum job_state state)
{
    return state == JOB_COMPLETED || state == JOB_DEAD || state == JOB_CANCELLED;
}

const char *job_state_name(enum job_state state)
{
    static const char *const NAMES[JOB_STATE_COUNT] = {
        [JOB_FREE] = "free",           [JOB_PENDING] = "pending", [JOB_SCHEDULED] = "scheduled",
        [JOB_WAITING] = "waiting",     [JOB_QUEUED] = "queued",   [JOB_LEASED] = "leased",
        [JOB_COMPLETED] = "completed", [JOB_DEAD] = "dead",       [JOB_CANCELLED] = "cancelled",
    };

    assert(state < JOB_STATE_COUNT);
    return NAMES[state];
}

const char *job_fact_name(enum job_fact_kind kind)
{
    static const char *const NAMES[JOB_FACT_KIND_COUNT] = {
        [JOB_FACT_RETRY] = "retry",       [JOB_FACT_COMPLETED] = "completed",
        [JOB_FACT_DEAD] = "dead",         [JOB_FACT_CANCELLED] = "cancelled",
        [JOB_FACT_PROGRESS] = "progress", [JOB_FACT_REPLAYED] = "replayed",
        [JOB_FACT_DROPPED] = "dropped",   [JOB_FACT_BLAMED] = "blamed",
    };

    assert(kind > 0 && kind < JOB_FACT_KIND_COUNT);
    return NAMES[kind];
}

const char *job_dead_reason_name(enum job_dead_reason reason)
{
    static const char *const NAMES[JOB_DEAD_REASON_COUNT] = {
        [JOB_DEAD_NONE] = "none",
        [JOB_DEAD_ATTEMPTS] = "attempts_exhausted",
        [JOB_DEAD_NOT_RETRYABLE] = "not_retryable",
        [JOB_DEAD_LEASE_EXPIRED] = "lease_expired",
        [JOB_DEAD_DEADLINE] = "deadline",
        [JOB_DEAD_POISON] = "poison",
        [JOB_DEAD_DEPENDENCY] = "dependency",
    };

    assert(reason < JOB_DEAD_REASON_COUNT);
    return NAMES[reason];
}
