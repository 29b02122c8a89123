#include "actors/breakers_view.h"

#include "actors/app.h"
#include "actors/ranked_merge.h"
#include "contracts/json_member.h"

/*
 * Taking goes over all breakers and keeps the first ones in order, by insertion: nearly all
 * are closed and idle, and end at the last place.
 */

/* --- taking ---------------------------------------------------------------------- */

static bool is_of(const struct breakers_entry *entry, struct slice org, struct slice project)
{
    if (project.size == 0)
        return true;
    return slice_equal((struct slice){entry->project, entry->project_size}, project) &&
           slice_equal((struct slice){entry->org, entry->org_size}, org);
}

static uint64_t rank_of(const struct breakers_entry *entry)
{
    struct breaker_view view;

    breaker_look(&entry->breaker, &view);
    static_assert(BREAKER_COUNT_MAX < 1 << 16, "failures fit below the parked");
    return (uint64_t)(view.state != BREAKER_CLOSED) << 63 | (uint64_t)entry->parked_count << 16 |
           view.failure_count;
}

/* Where it stands among the first ones; the number of these when it does not. */
static uint32_t find_place(const struct breakers_entry *const *firsts, uint32_t count,
                           uint64_t rank)
{
    uint32_t at = count;

    while (at > 0 && rank > rank_of(firsts[at - 1]))
        at--;
    return at;
}

static void insert(const struct breakers_entry **firsts, uint32_t *count,
                   const struct breakers_entry *entry)
{
    uint32_t at = find_place(firsts, *count, rank_of(entry));

    if (at == BREAKERS_VIEW_COUNT_MAX)
        return;
    if (*count < BREAKERS_VIEW_COUNT_MAX)
        (*count)++;
    for (uint32_t i = *count - 1; i > at; i--)
        firsts[i] = firsts[i - 1];
    firsts[at] = entry;
}

static void copy_line(const struct breakers_entry *entry, struct breakers_view_line *line)
{
    breaker_look(&entry->breaker, &line->breaker);
    line->since_ms = entry->since_ms;
    line->call_count = entry->call_count;
    line->parked_count = entry->parked_count;
    line->org_size = entry->org_size;
    line->project_size = entry->project_size;
    line->origin_size = entry->origin_size;
    memcpy(line->org, entry->org, entry->org_size);
    memcpy(line->project, entry->project, entry->project_size);
    memcpy(line->origin, entry->origin, entry->origin_size);
}

void breakers_view_take(struct breakers *breakers, struct slice org, struct slice project,
                        uint64_t now_ms, struct breakers_view *ret_view)
{
    const struct breakers_entry *firsts[BREAKERS_VIEW_COUNT_MAX];

    memset(ret_view, 0, sizeof(*ret_view));
    breakers_forget_late(breakers, now_ms);
    for (struct list_node *node = breakers->recent.next; node != &breakers->recent;
         node = node->next) {
        const struct breakers_entry *entry = container_of(node, struct breakers_entry, recent_link);

        ret_view->counts[breaker_state(&entry->breaker)]++;
        ret_view->call_count += entry->call_count;
        ret_view->parked_count += entry->parked_count;
        if (is_of(entry, org, project))
            insert(firsts, &ret_view->line_count, entry);
    }
    for (uint32_t i = 0; i < ret_view->line_count; i++) {
        ret_view->ranks[i] = rank_of(firsts[i]);
        copy_line(firsts[i], &ret_view->lines[i]);
    }
}

/* --- writing --------------------------------------------------------------------- */

void breakers_view_write_totals(const struct breakers_view *view, struct json_writer *writer)
{
    json_writer_begin_object(writer);
    for (uint32_t i = 0; i < BREAKERS_VIEW_STATE_COUNT; i++)
        json_member_u64(writer, breaker_state_name((enum breaker_state)i), view->counts[i]);
    json_member_u64(writer, SLICE_LITERAL("calls"), view->call_count);
    json_member_u64(writer, SLICE_LITERAL("parked"), view->parked_count);
    json_writer_end_object(writer);
}

static void write_line(const struct breakers_view_line *line, struct json_writer *writer)
{
    const struct breaker_view *breaker = &line->breaker;

    json_writer_begin_object(writer);
    json_member_string(writer, SLICE_LITERAL("org"), (struct slice){line->org, line->org_size});
    json_member_string(writer, SLICE_LITERAL("project"),
                       (struct slice){line->project, line->project_size});
    json_member_string(writer, SLICE_LITERAL("destination"),
                       (struct slice){line->origin, line->origin_size});
    json_member_string(writer, SLICE_LITERAL("state"), breaker_state_name(breaker->state));
    json_writer_key(writer, SLICE_LITERAL("since"));
    json_writer_time(writer, (int64_t)line->since_ms);
    json_writer_key(writer, SLICE_LITERAL("next_probe_at"));
    if (breaker->state == BREAKER_OPEN)
        json_writer_time(writer, (int64_t)breaker->until_ms + 1);
    else
        json_writer_null(writer);
    json_member_u64(writer, SLICE_LITERAL("failures"), breaker->failure_count);
    json_member_u64(writer, SLICE_LITERAL("openings"), breaker->open_count);
    json_member_u64(writer, SLICE_LITERAL("calls"), line->call_count);
    json_member_u64(writer, SLICE_LITERAL("parked"), line->parked_count);
    json_writer_end_object(writer);
}

void breakers_view_write(const struct breakers_view *const *views, uint32_t view_count,
                         struct json_writer *writer)
{
    struct ranked_list lists[SHARD_COUNT_MAX];
    struct ranked_place places[BREAKERS_VIEW_COUNT_MAX];
    uint32_t count;

    assert(view_count <= SHARD_COUNT_MAX);
    for (uint32_t i = 0; i < view_count; i++)
        lists[i] = (struct ranked_list){views[i]->ranks, views[i]->line_count};
    count = ranked_merge(lists, view_count, places, BREAKERS_VIEW_COUNT_MAX);
    json_writer_begin_array(writer);
    for (uint32_t i = 0; i < count; i++)
        write_line(&views[places[i].list]->lines[places[i].index], writer);
    json_writer_end_array(writer);
}
