#include "actors/incident_carrier.h"

#include "actors/app.h"
#include "runtime/sim_point.h"
#include "store/slot_index.h"

/*
 * Each round looks at the table from its beginning: records of what was written meanwhile lie
 * in later segments, so what is found is what is left. Incidents are written all at once, as
 * far as there are steps; rules, which are few, one project's after the other.
 */

static struct incidents *owner_of(struct incident_carrier *carrier)
{
    return container_of(carrier, struct incidents, carrier);
}

static void on_carried(struct durable_step *step, enum durable_outcome outcome)
{
    struct incident_step *it = container_of(step, struct incident_step, step);
    struct incidents *incidents = it->owner;

    incident_step_free(it);
    if (outcome == DURABLE_DONE)
        incidents_go_on(incidents);
}

/* Commits what the step's record says. False when there is no room now. */
MUST_USE static bool commit_carry(struct incident_step *it)
{
    struct incidents *incidents = it->owner;

    it->step = (struct durable_step){.on_done = on_carried,
                                     .records = it->records,
                                     .record_count = 1,
                                     .flags = JOURNAL_IMPORTANT};
    if (durable_commit(&incidents->home->keeper.durables, &it->step) != JOURNAL_OK) {
        SOMETIMES("an incident carried forward waits for room");
        incident_step_free(it);
        return false;
    }
    list_push_back(&incidents->carrier.steps, &it->link);
    return true;
}

MUST_USE static bool carry_incident(struct incidents *incidents, uint32_t slot)
{
    struct incident_step *it = incident_step_begin(incidents);
    struct incident_image image;

    if (it == NULL)
        return false;
    it->slot = slot;
    incident_table_current(incidents->table, slot, &image);
    incident_step_fill(it, &image, incident_table_partition(incidents->table, slot));
    return commit_carry(it);
}

MUST_USE static bool carry_rules(struct incidents *incidents,
                                 const struct incident_project_rules *rules)
{
    struct incident_step *it = incident_step_begin(incidents);
    const struct incident_rules_record *record = &rules->record;

    static_assert(sizeof(*record) <= INCIDENT_RECORD_SIZE_MAX, "fits into a step");
    if (it == NULL)
        return false;
    it->slot = SLOT_NONE;
    memcpy(it->bytes, record, sizeof(*record));
    it->part = (struct slice){it->bytes, sizeof(*record)};
    it->records[0] = (struct journal_record){
        .partition = job_partition((struct slice){record->org, record->org_size},
                                   (struct slice){record->project_name, record->project_size},
                                   incidents->home->app->superblock.partition_count),
        .type = RECORD_INCIDENT_RULES,
        .version = INCIDENT_RULES_RECORD_VERSION,
        .parts = &it->part,
        .part_count = 1};
    return commit_carry(it);
}

static bool is_being_carried(const struct incident_carrier *carrier, uint32_t slot)
{
    const struct list_node *head = &carrier->steps;

    for (const struct list_node *node = head->next; node != head; node = node->next)
        if (container_of((struct list_node *)node, struct incident_step, link)->slot == slot)
            return true;
    return false;
}

/* Writes again what is left; *ret_count is how much that is. False when there is no room now. */
MUST_USE static bool carry_incidents(struct incident_carrier *carrier, uint32_t *ret_count)
{
    struct incidents *incidents = owner_of(carrier);
    const struct incident_carry *carry = &carrier->incidents;
    struct incident_table *table = incidents->table;
    uint32_t found = 0;

    for (uint32_t slot = incident_table_up_to(table, 0, carry->log, carry->seq); slot != SLOT_NONE;
         slot = incident_table_up_to(table, slot + 1, carry->log, carry->seq)) {
        found++;
        if (!incident_table_is_changing(table, slot) && !is_being_carried(carrier, slot) &&
            !carry_incident(incidents, slot))
            return false;
    }
    *ret_count = found;
    return true;
}

MUST_USE static bool carry_all_rules(struct incident_carrier *carrier, uint32_t *ret_count)
{
    struct incidents *incidents = owner_of(carrier);
    const struct incident_carry *carry = &carrier->rules;
    uint32_t position = 0;
    const struct incident_project_rules *rules =
        incident_table_rules_up_to(incidents->table, &position, carry->log, carry->seq);

    *ret_count = rules != NULL;
    return rules == NULL || is_being_carried(carrier, SLOT_NONE) || carry_rules(incidents, rules);
}

void incident_carrier_go_on(struct incident_carrier *carrier)
{
    struct incidents *incidents = owner_of(carrier);
    uint32_t found = 1, rules_found = 1;
    bool has_room = true;

    if (incidents->writer.is_dead)
        return;
    if (carrier->incidents.seq != 0)
        has_room = carry_incidents(carrier, &found);
    if (has_room && carrier->rules.seq != 0)
        has_room = carry_all_rules(carrier, &rules_found);
    if (!has_room) {
        if (actor_is_running(&incidents->actor) && !incidents->is_stopping)
            actor_timer_start(&incidents->actor, &carrier->timer, INCIDENT_RETRY_MS);
        return;
    }
    if (found == 0) {
        SOMETIMES("incidents are carried out of a segment");
        carrier->incidents.seq = 0;
        durable_carried(&incidents->durable);
    }
    if (rules_found == 0) {
        carrier->rules.seq = 0;
        durable_carried(&incidents->rules_durable);
    }
}

void incident_carrier_carry(struct incident_carrier *carrier, uint32_t log, uint64_t seq)
{
    assert(carrier->incidents.seq == 0);
    assert(seq != 0);
    carrier->incidents = (struct incident_carry){log, seq};
    incident_carrier_go_on(carrier);
}

void incident_carrier_carry_rules(struct incident_carrier *carrier, uint32_t log, uint64_t seq)
{
    assert(carrier->rules.seq == 0);
    assert(seq != 0);
    carrier->rules = (struct incident_carry){log, seq};
    incident_carrier_go_on(carrier);
}

void incident_carrier_init(struct incident_carrier *carrier)
{
    list_init(&carrier->steps);
}

void incident_carrier_start(struct incident_carrier *carrier)
{
    actor_timer_init(&owner_of(carrier)->actor, &carrier->timer);
}

bool incident_carrier_on_timer(struct incident_carrier *carrier, const struct timer *timer)
{
    if (timer != &carrier->timer)
        return false;
    incident_carrier_go_on(carrier);
    return true;
}
