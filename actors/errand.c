#include "actors/errand.h"

#include "runtime/sim_point.h"
#include "store/journal.h"

/*
 * Both ways an errand is lent by message; when home and owner are the same shard it is handed
 * over by a call.
 */

static void errand_check(const struct errand *errand)
{
    assert(errand->magic == ERRAND_MAGIC);
    assert(errand->home != NULL);
    assert(errand->phase <= ERRAND_DECIDED);
}

int errands_init(struct errands *errands, const struct errand_type *type, struct actor *actor)
{
    assert(type->carry_out != NULL);
    assert(type->free != NULL);
    errands->type = type;
    errands->actor = actor;
    return pool_init(&errands->pool, type->name, type->size, type->count_max);
}

void errands_deinit(struct errands *errands)
{
    pool_abandon(&errands->pool);
}

void errands_start(struct errands *errands)
{
    outbox_init(&errands->outbox, errands->actor);
}

bool errands_on_timer(struct errands *errands, const struct timer *timer)
{
    return outbox_on_timer(&errands->outbox, errands->actor, timer);
}

bool errands_is_idle(const struct errands *errands)
{
    return pool_used_count(&errands->pool) == 0;
}

void errand_begin(struct errand *errand, struct errands *home, struct exchange *exchange)
{
    assert(errand->magic == 0);
    errand->magic = ERRAND_MAGIC;
    errand->code = PROBLEM_NONE;
    errand->home = home;
    errand->connection = exchange->actor->id;
    errand->token = exchange->token;
    list_init(&errand->link);
}

static void free_errand(struct errand *errand)
{
    assert(list_is_empty(&errand->link));
    errand->magic = 0;
    errand->home->type->free(errand);
}

/* --- there and back ------------------------------------------------------------- */

void errand_submit(struct errand *errand, struct errands *owner)
{
    struct errands *home = errand->home;

    errand_check(errand);
    assert(errand->phase == ERRAND_FILLING);
    assert(owner->type == home->type);
    errand->owner = owner;
    errand->phase = ERRAND_LENT;
    if (owner == home)
        home->type->carry_out(errand);
    else
        outbox_send(&home->outbox, home->actor, owner->actor->id, home->type->message_do, 0,
                    errand);
}

/* It has come home. */
static void come_back(struct errand *errand)
{
    struct errands *home = errand->home;

    errand_check(errand);
    assert(errand->phase == ERRAND_LENT);
    errand->phase = ERRAND_DECIDED;
    if (errand->is_abandoned)
        free_errand(errand);
    else
        outbox_send(&home->outbox, home->actor, errand->connection, home->type->message_answer,
                    errand->token, errand);
}

void errand_decide(struct errand *errand)
{
    struct errands *owner = errand->owner;

    errand_check(errand);
    assert(errand->phase == ERRAND_LENT);
    if (errand->home == owner)
        come_back(errand);
    else
        outbox_send(&owner->outbox, owner->actor, errand->home->actor->id,
                    owner->type->message_done, 0, errand);
}

void errand_refuse(struct errand *errand, enum problem_code code)
{
    assert(code != PROBLEM_NONE);
    errand->code = (uint16_t)code;
    errand_decide(errand);
}

enum problem_code errand_problem_of_commit(int result)
{
    assert(result != JOURNAL_OK);
    switch (result) {
    case JOURNAL_FULL:
        return PROBLEM_OVERLOADED;
    case JOURNAL_NO_SPACE:
        return PROBLEM_STORAGE_FULL;
    default:
        return PROBLEM_STORAGE_FAILED;
    }
}

void errands_on_message(struct errands *errands, const struct message *msg)
{
    struct errand *errand = outbox_lent(msg);

    errand_check(errand);
    if (msg->type == errands->type->message_do) {
        assert(errand->owner == errands);
        errands->type->carry_out(errand);
        return;
    }
    assert(msg->type == errands->type->message_done);
    assert(errand->home == errands);
    come_back(errand);
}

void errand_release(struct errand **errand)
{
    struct errand *it = *errand;

    errand_check(it);
    *errand = NULL;
    if (it->phase != ERRAND_LENT) {
        free_errand(it);
        return;
    }
    SOMETIMES("a connection goes while its errand is away");
    it->is_abandoned = true;
}
