#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "contracts/timestamp.h"
#include "store/incident_record.h"
#include "store/recovery.h"
#include "tests/sim/weir_calls.h"
#include "tests/store/incident_model.h"

/*
 * Incidents in the real server. A sender plays a recording of months ago: bursts of errors,
 * signups that stop, quiet hours, events out of order, late, or sent twice. The process is
 * killed or loses its power in the midst, even before it has answered; the sender asks again
 * until it is told 202. In the end the incidents in the log must be those of the plain model
 * for what has been acknowledged, each with one job for each time it opened.
 *
 * What a crash takes back between the event and the record of what it led to is decided again
 * by the minute, so instants are compared to the minute where the process has died.
 */

enum {
    SECOND = 1000,
    MINUTE = 60000,
    BATCH_MAX = 20,
    INCIDENT_MAX = 512,
    ROUND_COUNT = 60,
    LEAP_MINUTES_MAX = 200, /* more than what is decided again after a restart */
};

#define SERIES_COUNT MODEL_SERIES_MAX

/* An incident as the log has it. */
struct found {
    struct incident_image_header header; /* of the newest revision */
    char fingerprint[64];
};

struct finder {
    struct recovery_visitor visitor;
    struct found incidents[INCIDENT_MAX];
    uint32_t count;
    uint64_t jobs[INCIDENT_MAX * 4]; /* ids */
    uint32_t job_count;
};

static struct weir weir;
static struct weir_client asker, sender;
static struct finder found;
static struct incident_model *model;
static char secret[TENANT_SECRET_SIZE_MAX];
static char body[WEIR_REQUEST_SIZE_MAX];
static int64_t played_ms; /* how far the recording has come */
static uint32_t event_number, crash_count;
static bool is_mortal, has_summaries;

TestSuite(weir_incidents, .timeout = 110);

/* --- the server ------------------------------------------------------------------- */

static uint64_t below(uint64_t bound)
{
    return rng_below(&weir.world->rng, bound);
}

static uint32_t ask(const char *method, const char *path, const char *text)
{
    struct weir_call call = {.method = method, .path = path, .key = secret};

    return weir_ask(&asker, &call, text);
}

static void put_rules(void)
{
    struct incident_rules rules = INCIDENT_RULES_DEFAULT;
    char text[256];

    rules.spike_count = 8;
    rules.drop_count = 4;
    rules.drop_baseline = 20;
    rules.resolve_minutes = 10;
    snprintf(text, sizeof(text),
             "{\"error_spike\":{\"count\":%u},\"signup_drop\":{\"count\":%u,\"baseline\":%u},"
             "\"resolve_minutes\":%u}",
             rules.spike_count, rules.drop_count, rules.drop_baseline, rules.resolve_minutes);
    cr_assert(eq(u32, ask("PUT", "/v1/incident-rules", text), 200), "%s", asker.answer);
    incident_model_init(model, (int64_t)SIM_START_UNIX_MS - INT64_C(1000) * 24 * 60 * MINUTE,
                        &rules);
}

static void on_answer(struct weir_client *client)
{
    client->is_answered = true;
}

static void begin(uint64_t seed, uint32_t shard_count)
{
    weir_begin(&weir, seed, shard_count);
    weir.process.keeps_summaries = has_summaries;
    weir_start(&weir);
    weir_run_until_ready(&weir);
    weir_client_init(&asker, &weir, 0, NULL);
    weir_client_init(&sender, &weir, 1, on_answer);
    weir_make_key(&asker, "org", "shop", "\"ingest\",\"read\",\"admin\"", secret);
    model = calloc(1, sizeof(*model));
    cr_assert(ne(ptr, model, NULL));
    put_rules();
    played_ms = (int64_t)model->base * MINUTE + 200 * MINUTE;
    event_number = 0;
    crash_count = 0;
}

static void die(void)
{
    crash_count++;
    if (below(2) == 0)
        weir_kill(&weir);
    else
        weir_crash(&weir);
    weir.process.shard_count = 1 + (uint32_t)below(3);
    sim_http_client_drop(&asker.http);
    sim_http_client_drop(&sender.http);
    weir_start(&weir);
    weir_run_until_ready(&weir);
    while (!sender.is_answered) /* it learns that its request is lost */
        cr_assert(eq(int, weir_run_for(&weir, 1), SIM_REACHED));
}

/* --- the recording ------------------------------------------------------------------ */

struct sent {
    uint32_t series;
    int64_t at_ms;
};

static struct sent batch[BATCH_MAX];
static uint32_t batch_size;

static int write_event(char *at, size_t room, const struct sent *event, uint32_t number)
{
    char time[TIMESTAMP_TEXT_SIZE];

    timestamp_format(event->at_ms, time);
    if (event->series == 0)
        return snprintf(at, room,
                        "{\"event_id\":\"00000000-0000-4000-8000-%012x\",\"event_type\":\"signup\","
                        "\"occurred_at\":\"%.*s\",\"message\":\"m\",\"environment\":\"prod\"}",
                        number, (int)sizeof(time), time);
    return snprintf(at, room,
                    "{\"event_id\":\"00000000-0000-4000-8000-%012x\",\"event_type\":\"error\","
                    "\"occurred_at\":\"%.*s\",\"message\":\"m\",\"environment\":\"prod\","
                    "\"attributes\":{\"error_code\":\"E%u\",\"route\":\"/a/%u\"}}",
                    number, (int)sizeof(time), time, event->series, number);
}

/* True when the request has been answered 202; false when nobody knows. */
static bool try_send(bool may_die)
{
    struct weir_call call = {.path = "/v1/events/batch", .key = secret};
    uint64_t limit_us = may_die ? below(2500) : 20000000;

    sender.is_answered = false;
    weir_client_call(&sender, &call, body);
    for (uint64_t us = 0; us < limit_us && !sender.is_answered; us += 50)
        cr_assert(eq(int, sim_driver_run_for(&weir.driver, 50000), SIM_REACHED), "seed %lu: %s",
                  weir.seed, weir.process.text);
    if (!sender.is_answered) {
        cr_assert(may_die, "seed %lu: no answer", weir.seed);
        die();
        return false;
    }
    return !sender.request.lost && sender.request.status == 202;
}

static void write_batch(void)
{
    size_t size = (size_t)snprintf(body, sizeof(body), "{\"events\":[");

    for (uint32_t i = 0; i < batch_size; i++) {
        if (i > 0)
            body[size++] = ',';
        size += (size_t)write_event(body + size, sizeof(body) - size, &batch[i], event_number + i);
    }
    snprintf(body + size, sizeof(body) - size, "]}");
}

/* Sends what is in the batch until it is acknowledged; sometimes twice even then. */
static void send_batch(void)
{
    bool may_die = is_mortal && below(3) == 0;

    if (batch_size == 0)
        return;
    write_batch();
    while (!try_send(may_die))
        may_die = is_mortal && below(3) == 0;
    if (below(8) == 0)
        cr_assert(try_send(false)); /* again: the ids are known, nothing changes */
    for (uint32_t i = 0; i < batch_size; i++)
        incident_model_event(model, batch[i].series, batch[i].at_ms, (uint64_t)batch[i].at_ms);
    event_number += batch_size;
    batch_size = 0;
}

static void put_event(uint32_t series, int64_t at_ms)
{
    batch[batch_size++] = (struct sent){series, at_ms};
    if (batch_size == BATCH_MAX || below(10) == 0)
        send_batch();
}

static void play_burst(void)
{
    uint32_t series = 1 + (uint32_t)below(SERIES_COUNT - 2), count = 1 + (uint32_t)below(25);
    int64_t step_ms = (int64_t)below(10 * SECOND);

    for (uint32_t i = 0; i < count; i++) {
        int64_t back_ms = below(4) == 0 ? (int64_t)below(4 * MINUTE) : 0;

        played_ms += step_ms;
        if (played_ms - back_ms > model->newest_ms)
            back_ms = 0;
        put_event(series, played_ms - back_ms);
    }
}

static void play_signups(void)
{
    uint32_t count = 10 + (uint32_t)below(30);

    for (uint32_t i = 0; i < count; i++) {
        played_ms += (int64_t)below(90 * SECOND);
        put_event(0, played_ms);
    }
}

static void play(void)
{
    for (uint32_t round = 0; round < ROUND_COUNT; round++) {
        switch (below(6)) {
        case 0:
            play_signups();
            break;
        case 1:
            send_batch();
            if (model->newest_ms > 0)
                put_event((uint32_t)below(SERIES_COUNT - 1),
                          model->newest_ms - (6 + (int64_t)below(60)) * MINUTE);
            break;
        case 2:
            played_ms += (int64_t)below(!is_mortal && below(6) == 0 ? LEAP_MINUTES_MAX * MINUTE
                                                                    : 20 * MINUTE);
            break;
        default:
            play_burst();
            break;
        }
    }
    /* Hours later: all that was due has happened. */
    send_batch();
    played_ms += 5 * 60 * MINUTE;
    put_event(SERIES_COUNT - 1, played_ms);
    send_batch();
}

/* --- what the log says ---------------------------------------------------------------- */

static struct found *find(const struct incident_image *image)
{
    uint32_t i = 0;

    while (i < found.count && found.incidents[i].header.id_low != image->header.id_low)
        i++;
    cr_assert(lt(u32, i, INCIDENT_MAX));
    if (i == found.count) {
        struct slice text = image->sections[INCIDENT_SECTION_FINGERPRINT];

        found.count++;
        cr_assert(lt(sz, text.size, sizeof(found.incidents[i].fingerprint)));
        memcpy(found.incidents[i].fingerprint, text.data, text.size);
    }
    return &found.incidents[i];
}

static void note_incident(const struct journal_record_view *record)
{
    struct incident_image image;
    struct found *incident;

    cr_assert(eq(int, incident_image_decode(record->payload, &image), 0));
    incident = find(&image);
    if (image.header.revision >= incident->header.revision)
        incident->header = image.header;
}

static void note_job(const struct journal_record_view *record)
{
    struct job_image image;

    cr_assert(eq(int, job_image_decode(record->payload, &image), 0));
    if (!slice_equal(image.sections[JOB_SECTION_KIND], SLICE_LITERAL("incident.summarize")))
        return;
    for (uint32_t i = 0; i < found.job_count; i++)
        if (found.jobs[i] == image.header.id_low)
            return;
    found.jobs[found.job_count++] = image.header.id_low;
}

static int on_group(struct recovery_visitor *visitor, const struct recovery_group *group)
{
    (void)visitor;
    for (uint32_t i = 0; i < group->record_count; i++) {
        if (group->records[i].type == RECORD_INCIDENT)
            note_incident(&group->records[i]);
        if (group->records[i].type == RECORD_JOB)
            note_job(&group->records[i]);
    }
    return 0;
}

static void read_log(void)
{
    struct recovered *recovered = NULL;
    struct superblock superblock;
    struct recovery_config config = {.disk = sim_host_disk(weir.server),
                                     .data_path = "/data",
                                     .superblock = &superblock,
                                     .visitor = &found.visitor,
                                     .read_only = true};
    char text[RECOVERY_TEXT_SIZE];

    memset(&found, 0, sizeof(found));
    found.visitor.on_group = on_group;
    cr_assert(eq(int, superblock_read(config.disk, "/data", &superblock), 0));
    cr_assert(eq(int, recovery_run(&config, &recovered, text), 0), "seed %lu: %s", weir.seed, text);
    recovered_free(&recovered);
}

static const struct found *find_like(const struct model_incident *wanted, int64_t tolerance_ms)
{
    char fingerprint[64];

    if (wanted->series == 0)
        snprintf(fingerprint, sizeof(fingerprint), "signup|prod");
    else
        snprintf(fingerprint, sizeof(fingerprint), "E%u|/a/{id}|prod", wanted->series);
    for (uint32_t i = 0; i < found.count; i++)
        if (strcmp(found.incidents[i].fingerprint, fingerprint) == 0 &&
            llabs(found.incidents[i].header.opened_ms - wanted->header.opened_ms) <= tolerance_ms)
            return &found.incidents[i];
    return NULL;
}

static void compare(void)
{
    int64_t tolerance_ms = crash_count > 0 ? MINUTE : 0;
    uint32_t told = 0;

    read_log();
    cr_assert(eq(u32, found.count, model->incident_count), "seed %lu", weir.seed);
    for (uint32_t i = 0; i < model->incident_count; i++) {
        const struct incident_image_header *wanted = &model->incidents[i].header;
        const struct found *incident = find_like(&model->incidents[i], tolerance_ms);

        if (incident == NULL)
            cr_fatal("seed %lu: incident %u of series %u, opened %ld, is missing", weir.seed, i,
                     model->incidents[i].series, wanted->opened_ms);
        cr_assert(eq(int, incident->header.status, wanted->status), "seed %lu, %u", weir.seed, i);
        cr_assert(eq(u32, incident->header.reopen_count, wanted->reopen_count), "seed %lu, %u",
                  weir.seed, i);
        cr_assert(le(i64, llabs(incident->header.resolved_ms - wanted->resolved_ms), tolerance_ms),
                  "seed %lu, %u", weir.seed, i);
        if (crash_count == 0)
            cr_assert(eq(int, incident->header.severity, wanted->severity), "seed %lu, %u",
                      weir.seed, i);
        told += model->incidents[i].told;
    }
    cr_assert(eq(u32, found.job_count, has_summaries ? told : 0), "seed %lu: jobs and incidents",
              weir.seed);
}

static void run(uint64_t seed, uint32_t shard_count)
{
    begin(seed, shard_count);
    play();
    cr_assert(eq(int, weir_run_for(&weir, 2000), SIM_REACHED));
    weir_stop(&weir);
    compare();
    weir_end(&weir);
    free(model);
}

Test(weir_incidents, are_those_of_the_plain_model)
{
    is_mortal = false;
    has_summaries = true;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        run(seed, 1 + (uint32_t)(seed % 3));
        cr_assert(lt(u32, 3, found.count), "seed %lu: too little has happened", seed);
    }
}

Test(weir_incidents, are_those_of_the_plain_model_however_often_the_process_dies)
{
    uint32_t crashes = 0;

    is_mortal = true;
    has_summaries = true;
    for (uint64_t seed = 11; seed <= 22; seed++) {
        run(seed, 1 + (uint32_t)(seed % 3));
        crashes += crash_count;
    }
    cr_assert(lt(u32, 20, crashes));
}

Test(weir_incidents, open_without_a_job_when_there_is_no_read_model_to_summarise_them_from)
{
    is_mortal = false;
    has_summaries = false;
    run(1, 2);
    cr_assert(lt(u32, 3, found.count), "too little has happened");
}

/* --- a disk that cannot be read --------------------------------------------------------- */

/* Carried forward, and gone to make room for another before that is durable. */
Test(weir_incidents, may_be_forgotten_while_their_records_are_carried_forward)
{
    static char text[1024];
    struct incident_image image = {.header = {.id_low = 12345,
                                              .revision = 2,
                                              .series = {1, 2},
                                              .project = 3,
                                              .opened_ms = 1,
                                              .reopened_ms = 1,
                                              .resolved_ms = 1,
                                              .status = INCIDENT_RESOLVED}};
    struct durable *durable;
    struct durable_fact fact = {.type = RECORD_INCIDENT, .version = INCIDENT_RECORD_VERSION};

    for (uint32_t i = 0; i < INCIDENT_SECTION_COUNT; i++)
        image.sections[i] = i == INCIDENT_SECTION_ACTOR ? SLICE_LITERAL("") : SLICE_LITERAL("text");
    fact.payload = (struct slice){text, incident_image_encode(&image, text)};
    has_summaries = true;
    begin(1, 1);
    durable = &weir.process.app.shards[0].incidents.durable;
    cr_assert(eq(int, durable->type->apply(durable, &fact), 0));
    weir_end(&weir);
    free(model);
}

/* One burst that opens an incident, whose event cannot be read. */
static void send_unreadable_burst(void)
{
    struct weir_call call = {.path = "/v1/events/batch", .key = secret};

    has_summaries = true;
    begin(1, 1);
    for (uint32_t i = 0; i < 8; i++)
        batch[batch_size++] = (struct sent){1, played_ms};
    write_batch();
    event_number += batch_size;
    batch_size = 0;
    weir.server->faults.read_error.always = true;
    sender.is_answered = false;
    weir_client_call(&sender, &call, body);
}

/* The burst's incident is the one that there is. */
static void end_with_one_incident(void)
{
    weir_stop(&weir);
    read_log();
    cr_assert(eq(u32, found.count, 1));
    cr_assert(eq(u32, found.job_count, 1));
    weir_end(&weir);
    free(model);
}

Test(weir_incidents, open_when_the_disk_can_be_read_again)
{
    send_unreadable_burst();
    cr_assert(eq(int, weir_run_for(&weir, 3000), SIM_REACHED));
    cr_assert(not(sender.is_answered), "told 202, and nobody can find the incident");
    sim_faults_init(&weir.server->faults);
    cr_assert(eq(int, weir_run_for(&weir, 500), SIM_REACHED));
    cr_assert(sender.is_answered && sender.request.status == 202);
    end_with_one_incident();
}

Test(weir_incidents, open_after_a_restart_when_the_process_stops_before_their_events_can_be_read)
{
    send_unreadable_burst();
    cr_assert(eq(int, weir_run_for(&weir, 3000), SIM_REACHED));
    weir_stop(&weir);
    sim_faults_init(&weir.server->faults);
    weir_start(&weir);
    weir_run_until_ready(&weir);
    end_with_one_incident();
}

Test(weir_incidents, open_with_their_next_event_when_the_disk_could_not_be_read_for_long)
{
    send_unreadable_burst();
    cr_assert(eq(int, weir_run_for(&weir, 15000), SIM_REACHED));
    cr_assert(sender.is_answered, "it waits for ever");
    sim_faults_init(&weir.server->faults);
    batch[batch_size++] = (struct sent){1, played_ms};
    send_batch();
    end_with_one_incident();
}
