#include "tools/sim/sim_judgement.h"

/*
 * A request is about some items, and perhaps an Idempotency-Key, which is an item like
 * the others. Each gets the answer that the response implies for it; where one response
 * speaks for several (a refused batch), one item that explains it is enough.
 */

static bool has_items(enum sim_ask ask)
{
    switch (ask) {
    case SIM_ASK_UNIT:
    case SIM_ASK_AGAIN:
    case SIM_ASK_OTHER_BODY:
    case SIM_ASK_SHARED:
    case SIM_ASK_ANONYMOUS:
    case SIM_ASK_KEY_MISUSED:
        return true;
    case SIM_ASK_GET:
    case SIM_ASK_GET_FOREIGN:
    case SIM_ASK_GET_NOTHING:
    case SIM_ASK_BAD:
    case SIM_ASK_ADMIN_CREATE:
    case SIM_ASK_ADMIN_REVOKE:
    case SIM_ASK_ADMIN_TRY:
    case SIM_ASK_READYZ:
        return false;
    }
    return false;
}

NORETURN static void fail(const struct sim_client *client, uint32_t number, const char *why)
{
    char text[80];

    sim_client_describe(client, text, sizeof(text));
    sim_story_fail(client->workload->story, number, "client %u is told %s: %s", client->index, text,
                   why);
}

static void tell_model(const struct sim_client *client, uint32_t number, uint32_t variant,
                       enum sim_answer answer)
{
    const char *why = sim_model_answer(client->workload->model, number, variant, answer);

    if (why != NULL)
        fail(client, number, why);
}

static uint32_t key_variant(const struct sim_client *client)
{
    return client->ask == SIM_ASK_KEY_MISUSED;
}

/* The same answer for every item, and for the key. */
static void tell_all(const struct sim_client *client, enum sim_answer answer)
{
    for (uint32_t i = 0; i < client->count; i++)
        tell_model(client, client->number + i, client->variant, answer);
    /* A server that forgets may forget one and not the other: the answer is about the event. */
    if (client->workload->model->is_forgetful &&
        (answer == SIM_ANSWER_NEW || answer == SIM_ANSWER_DUPLICATE))
        answer = SIM_ANSWER_STORED;
    if (client->key_number != SIM_NONE)
        tell_model(client, client->key_number, key_variant(client), answer);
}

/* --- accepted ------------------------------------------------------------- */

/* Every id of the request, in its order. */
static void check_ids(const struct sim_client *client)
{
    const struct sim_workload *workload = client->workload;
    const char *at = client->request.body;
    const char *end = at + client->request.body_size;

    for (uint32_t i = 0; i < client->count; i++) {
        char id[SIM_ID_SIZE + 1];

        if (workload->model->items[client->number + i].kind != SIM_ITEM_NAMED)
            continue;
        sim_census_write_id(&workload->check->census, client->number + i, id);
        at = memmem(at, (size_t)(end - at), id, SIM_ID_SIZE);
        if (at == NULL)
            fail(client, client->number + i, "the event is not in the answer");
        at += SIM_ID_SIZE;
    }
}

static void note_time(const struct sim_client *client)
{
    uint32_t offset = 0;
    struct slice time = sim_client_value(client, "received_at", &offset);
    const char *why =
        sim_model_note_time(client->workload->model, client->number, time.data, time.size);

    if (why != NULL)
        fail(client, client->number, why);
}

/* What one line of a partial batch's answer says. */
static enum sim_answer line_answer(const struct sim_client *client, uint32_t number,
                                   uint32_t *offset)
{
    struct slice status = sim_client_value(client, "status", offset);

    if (slice_equal(status, SLICE_LITERAL("accepted")))
        return SIM_ANSWER_NEW;
    if (slice_equal(status, SLICE_LITERAL("duplicate")))
        return SIM_ANSWER_DUPLICATE;
    if (slice_equal(status, SLICE_LITERAL("retry")) || slice_equal(status, SLICE_LITERAL("quota")))
        return SIM_ANSWER_REFUSED;
    if (!slice_equal(sim_client_value(client, "code", offset), SLICE_LITERAL("event_id_conflict")))
        fail(client, number, "a sound event of a partial batch is called invalid");
    return SIM_ANSWER_CONFLICT;
}

/* True when all of a partial batch is stored. */
static bool judge_lines(const struct sim_client *client)
{
    bool is_whole = true;
    uint32_t offset = 0;

    for (uint32_t i = 0; i < client->count; i++) {
        enum sim_answer answer = line_answer(client, client->number + i, &offset);
        bool is_stored = answer == SIM_ANSWER_NEW || answer == SIM_ANSWER_DUPLICATE;

        is_whole = is_whole && is_stored;
        tell_model(client, client->number + i, client->variant, answer);
        if (is_stored)
            sim_check_is_durable(client->workload->check, client->number + i);
    }
    return is_whole;
}

static bool judge_accepted(const struct sim_client *client)
{
    struct sim_workload *workload = client->workload;
    enum sim_answer answer = SIM_ANSWER_STORED;

    check_ids(client);
    if (client->form == SIM_FORM_PARTIAL)
        return judge_lines(client);
    if (client->form == SIM_FORM_SINGLE)
        answer =
            sim_client_has(client, "\"duplicate\":true") ? SIM_ANSWER_DUPLICATE : SIM_ANSWER_NEW;
    tell_all(client, answer);
    if (client->form == SIM_FORM_SINGLE)
        note_time(client);
    for (uint32_t i = 0; i < client->count; i++)
        if (workload->model->items[client->number + i].kind == SIM_ITEM_NAMED)
            sim_check_is_durable(workload->check, client->number + i);
    return true;
}

/* --- refused -------------------------------------------------------------- */

/* True when one of the items, or the key, explains the refusal as things are now. */
static bool any_item(const struct sim_client *client,
                     bool (*may_be)(const struct sim_model *model, uint32_t number,
                                    uint32_t variant))
{
    const struct sim_model *model = client->workload->model;

    for (uint32_t i = 0; i < client->count; i++)
        if (may_be(model, client->number + i, client->variant))
            return true;
    return client->key_number != SIM_NONE && may_be(model, client->key_number, key_variant(client));
}

static uint32_t count_sends(const struct sim_client *client)
{
    const struct sim_model *model = client->workload->model;
    uint32_t count = 0;

    for (uint32_t i = 0; i < client->count; i++)
        count += model->items[client->number + i].send_count;
    return count +
           (client->key_number != SIM_NONE ? model->items[client->key_number].send_count : 0);
}

void sim_judge_note(struct sim_client *client)
{
    client->could_conflict = any_item(client, sim_model_may_conflict);
    client->could_be_in_flight = any_item(client, sim_model_may_be_in_flight);
    client->sends_before = count_sends(client);
}

/*
 * The server decided at some moment between request and answer: what was under way then
 * may be over by now, and others may have come and gone meanwhile.
 */
static bool is_explained(const struct sim_client *client, bool could_be, bool is_now)
{
    return could_be || is_now || count_sends(client) != client->sends_before;
}

static enum sim_next judge_items(struct sim_client *client, enum sim_reply reply)
{
    enum sim_next otherwise = client->ask == SIM_ASK_UNIT ? SIM_NEXT_AGAIN : SIM_NEXT_NEW;

    switch (reply) {
    case SIM_REPLY_ACCEPTED:
        return judge_accepted(client) ? SIM_NEXT_NEW : otherwise;
    case SIM_REPLY_LOST:
    case SIM_REPLY_UNKNOWN:
        client->workload->unknown_count++;
        tell_all(client, SIM_ANSWER_UNKNOWN);
        return otherwise;
    case SIM_REPLY_CONFLICT:
        if (!is_explained(client, client->could_conflict, any_item(client, sim_model_may_conflict)))
            fail(client, client->number, "nobody can have stored another body");
        tell_all(client, SIM_ANSWER_REFUSED);
        return otherwise;
    case SIM_REPLY_IN_FLIGHT:
        if (!is_explained(client, client->could_be_in_flight,
                          any_item(client, sim_model_may_be_in_flight)))
            fail(client, client->number, "nothing of it can be in flight");
        tell_all(client, SIM_ANSWER_REFUSED);
        return otherwise;
    case SIM_REPLY_UNAVAILABLE:
        tell_all(client, SIM_ANSWER_REFUSED);
        return otherwise;
    case SIM_REPLY_NOT_FOUND:
    case SIM_REPLY_UNAUTHORIZED:
    case SIM_REPLY_BAD:
    case SIM_REPLY_STRANGE:
        break;
    }
    fail(client, client->number, "this is no answer to a sound event");
}

/* --- what is not about storing -------------------------------------------- */

static bool is_passing(enum sim_reply reply)
{
    return reply == SIM_REPLY_LOST || reply == SIM_REPLY_UNAVAILABLE || reply == SIM_REPLY_UNKNOWN;
}

static void judge_get(const struct sim_client *client, enum sim_reply reply)
{
    const struct sim_workload *workload = client->workload;
    const struct sim_item *item = &workload->model->items[client->number];
    char text[48];

    if (is_passing(reply) || (workload->reads_may_fail && client->request.status == 500))
        return;
    if (reply == SIM_REPLY_NOT_FOUND && (workload->model->is_forgetful || workload->sees_damage))
        return;
    if (reply != SIM_REPLY_ACCEPTED)
        fail(client, client->number, "the event was acknowledged");
    snprintf(text, sizeof(text), "\"number %u.%u.\"", client->number, item->stored_variant);
    if (!sim_client_has(client, text) && !workload->model->is_forgetful)
        fail(client, client->number, "the event has another body");
    if (!workload->model->is_forgetful)
        note_time(client);
}

static void judge_admin(struct sim_client *client, enum sim_reply reply)
{
    struct sim_key *key = &client->workload->keys.keys[client->number];
    uint32_t offset = 0;

    if (reply == SIM_REPLY_ACCEPTED && client->ask == SIM_ASK_ADMIN_CREATE) {
        struct slice id = sim_client_value(client, "id", &offset);

        if (!sim_key_set_live(key, id, sim_client_value(client, "key", &offset)))
            fail(client, SIM_NO_NUMBER, "a key without id or secret");
    } else if (reply == SIM_REPLY_ACCEPTED) {
        key->state = SIM_KEY_REVOKED;
    } else if (!is_passing(reply)) {
        fail(client, SIM_NO_NUMBER, "this is no answer to the administrator");
    } else if (client->ask == SIM_ASK_ADMIN_CREATE) {
        key->state = SIM_KEY_NONE;
    }
}

/* client->variant is the state that the key had when it was tried. */
static void judge_key(const struct sim_client *client, enum sim_reply reply)
{
    const struct sim_key *key = &client->workload->keys.keys[client->number];

    if (is_passing(reply))
        return;
    if (reply != SIM_REPLY_NOT_FOUND && reply != SIM_REPLY_UNAUTHORIZED)
        fail(client, SIM_NO_NUMBER, "this is no answer to whoever tries a key");
    if (key->state == SIM_KEY_LIVE && reply == SIM_REPLY_UNAUTHORIZED)
        fail(client, SIM_NO_NUMBER, "a key that was made does not work");
    if (client->variant == SIM_KEY_REVOKED && reply == SIM_REPLY_NOT_FOUND)
        fail(client, SIM_NO_NUMBER, "a key that was revoked works again");
}

/* An answer to events comes in time, also when it is that nobody knows. */
static void judge_delay(const struct sim_client *client, enum sim_reply reply)
{
    const struct sim_workload *workload = client->workload;
    uint64_t delay_ms = (workload->world->mono_ns - client->request.whole_ns) / 1000000;

    /* One that came before the request was wholly sent is early enough. */
    if (workload->spec.answer_ms_max > 0 && client->sent_life == workload->life &&
        client->request.whole_ns != 0 && reply != SIM_REPLY_LOST &&
        delay_ms > workload->spec.answer_ms_max)
        fail(client, client->number, "the answer is late");
}

enum sim_next sim_judge(struct sim_client *client)
{
    enum sim_reply reply = sim_client_reply(client);

    if (has_items(client->ask))
        judge_delay(client, reply);

    if (has_items(client->ask))
        return judge_items(client, reply);
    switch (client->ask) {
    case SIM_ASK_GET:
        judge_get(client, reply);
        break;
    case SIM_ASK_GET_FOREIGN:
        if (!is_passing(reply) && reply != SIM_REPLY_NOT_FOUND)
            fail(client, client->number, "the event belongs to another project");
        break;
    case SIM_ASK_GET_NOTHING:
        if (!is_passing(reply) && reply != SIM_REPLY_NOT_FOUND)
            fail(client, SIM_NO_NUMBER, "nobody ever sent this id");
        break;
    case SIM_ASK_BAD:
        if (reply == SIM_REPLY_ACCEPTED || reply == SIM_REPLY_STRANGE ||
            reply == SIM_REPLY_CONFLICT || reply == SIM_REPLY_IN_FLIGHT)
            fail(client, SIM_NO_NUMBER, "the request was bad");
        if (client->count > 0)
            tell_all(client, SIM_ANSWER_REFUSED);
        break;
    case SIM_ASK_ADMIN_CREATE:
    case SIM_ASK_ADMIN_REVOKE:
        judge_admin(client, reply);
        break;
    case SIM_ASK_ADMIN_TRY:
        judge_key(client, reply);
        break;
    case SIM_ASK_READYZ:
        if (!is_passing(reply) && reply != SIM_REPLY_ACCEPTED)
            fail(client, SIM_NO_NUMBER, "readyz is 200 or 503");
        break;
    case SIM_ASK_UNIT:
    case SIM_ASK_AGAIN:
    case SIM_ASK_OTHER_BODY:
    case SIM_ASK_SHARED:
    case SIM_ASK_ANONYMOUS:
    case SIM_ASK_KEY_MISUSED:
        assert(false);
    }
    return SIM_NEXT_NEW;
}
