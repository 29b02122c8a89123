#include "contracts/local_summary.h"

#include <inttypes.h>
#include <stdio.h>

#include "contracts/utf8.h"

/*
 * Sentences are put together in a scratch text, cut to what the shape allows and written as
 * one string. What it knows of a rule is a row in RULES; a rule that is not there gets the
 * sentences that fit all.
 */

enum { SENTENCE_SIZE_MAX = 400, TITLE_SIZE_MAX = 200, RULE_STEP_COUNT = 3 };

/* What is worth saying about incidents of one rule. */
struct rule_text {
    struct slice name;
    struct slice cause;
    struct slice steps[RULE_STEP_COUNT];
};

static const struct rule_text RULES[] = {
    {SLICE_INITIALIZER("error_spike"),
     SLICE_INITIALIZER("Errors of one kind come several times as often as in the hour before."),
     {SLICE_INITIALIZER("Look at the newest errors of this kind and what raises them."),
      SLICE_INITIALIZER("Compare the time it began with deployments and changes of settings."),
      SLICE_INITIALIZER("If a change fits in time, take it back; else check what the route "
                        "depends on.")}},
    {SLICE_INITIALIZER("new_error"),
     SLICE_INITIALIZER("Errors of a kind that was not seen in the hour before."),
     {SLICE_INITIALIZER("Look at the newest errors of this kind and what raises them."),
      SLICE_INITIALIZER("Look for a deployment shortly before the first of them."),
      SLICE_INITIALIZER("If there is one, take it back or switch off what it brought.")}},
    {SLICE_INITIALIZER("signup_drop"),
     SLICE_INITIALIZER("Far fewer signups arrive than in the hour before."),
     {SLICE_INITIALIZER("Try the signup flow end to end."),
      SLICE_INITIALIZER("Check that signup events still reach the intake."),
      SLICE_INITIALIZER("Compare with visits: fewer visitors, or the same that give up.")}},
};

static const struct rule_text ANY_RULE = {
    SLICE_INITIALIZER(""),
    SLICE_INITIALIZER("The rule that opened the incident found its events out of the ordinary."),
    {SLICE_INITIALIZER("Look at the newest events of the incident."),
     SLICE_INITIALIZER("Compare the time it began with deployments and changes of settings."),
     SLICE_INITIALIZER("Check what the service depends on.")}};

static const struct slice NONE = SLICE_INITIALIZER("none");

/* A text in the making, cut at its end when it is too long. */
struct sentence {
    char text[8 * SENTENCE_SIZE_MAX];
    struct json_writer writer;
};

static void begin(struct sentence *sentence)
{
    json_writer_init(&sentence->writer, sentence->text, sizeof(sentence->text));
}

static void add(struct sentence *sentence, const char *text)
{
    json_writer_verbatim(&sentence->writer, slice_of(text));
}

static void add_value(struct sentence *sentence, const struct json_value *value)
{
    incident_brief_text(value, NONE, &sentence->writer);
}

static void add_number(struct sentence *sentence, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, number);
    add(sentence, text);
}

static void end(struct sentence *sentence, size_t size_max, struct json_writer *writer)
{
    struct slice text;
    bool fits = json_writer_finish(&sentence->writer, &text);

    assert(fits);
    text.size = utf8_cut(text, size_max);
    json_writer_string(writer, text);
}

static const struct rule_text *rule_of(const struct incident_brief *brief)
{
    char text[BRIEF_TEXT_SIZE_MAX + 8];
    struct json_writer writer;
    struct slice name;

    json_writer_init(&writer, text, sizeof(text));
    incident_brief_text(&brief->rule, (struct slice){"", 0}, &writer);
    name = (struct slice){text, writer.size};
    for (uint32_t i = 0; i < ARRAY_COUNT(RULES); i++)
        if (slice_equal(RULES[i].name, name))
            return &RULES[i];
    return &ANY_RULE;
}

/* --- members ------------------------------------------------------------------------------ */

static bool is_blank(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] != ' ')
            return false;
    return true;
}

static void write_title(const struct incident_brief *brief, struct json_writer *writer)
{
    struct sentence sentence;

    begin(&sentence);
    incident_brief_text(&brief->title, (struct slice){"", 0}, &sentence.writer);
    if (is_blank((struct slice){sentence.text, sentence.writer.size})) {
        begin(&sentence);
        add(&sentence, "Incident in ");
        incident_brief_text(&brief->environment, SLICE_LITERAL("an unknown environment"),
                            &sentence.writer);
    }
    json_writer_key(writer, SLICE_LITERAL("title"));
    end(&sentence, TITLE_SIZE_MAX, writer);
}

static void write_impact(const struct incident_brief *brief, struct json_writer *writer)
{
    struct sentence sentence;

    begin(&sentence);
    add(&sentence, "Severity ");
    incident_brief_text(&brief->severity, SLICE_LITERAL("unknown"), &sentence.writer);
    add(&sentence, " in ");
    incident_brief_text(&brief->environment, SLICE_LITERAL("an unknown environment"),
                        &sentence.writer);
    add(&sentence, ". The newest ");
    add_number(&sentence, brief->event_count);
    if (brief->has_event_total) {
        add(&sentence, " of ");
        add_number(&sentence, brief->event_total);
    }
    add(&sentence, " events of the incident were looked at");
    if (brief->first != NULL && brief->last != NULL) {
        add(&sentence, "; they occurred from ");
        add_value(&sentence, &brief->first->occurred_at);
        add(&sentence, " to ");
        add_value(&sentence, &brief->last->occurred_at);
    }
    add(&sentence, ".");
    json_writer_key(writer, SLICE_LITERAL("impact"));
    end(&sentence, 2 * SENTENCE_SIZE_MAX, writer);
}

/* "45 of 50 events have the error code X": of the group with the most events, if it has a value. */
static bool has_leader(const struct brief_group *groups, uint32_t count)
{
    return count > 0 && groups[0].value.type != JSON_ABSENT;
}

static void write_leader(const struct incident_brief *brief, const struct brief_group *groups,
                         uint32_t count, const char *what, struct json_writer *writer)
{
    struct sentence sentence;

    if (!has_leader(groups, count))
        return;
    begin(&sentence);
    add_number(&sentence, groups[0].count);
    add(&sentence, " of ");
    add_number(&sentence, brief->event_count);
    add(&sentence, what);
    add_value(&sentence, &groups[0].value);
    if (count > 1) {
        add(&sentence, "; there are ");
        add_number(&sentence, count - 1);
        add(&sentence, " others");
    }
    add(&sentence, ".");
    end(&sentence, SENTENCE_SIZE_MAX, writer);
}

static void write_causes(const struct incident_brief *brief, const struct rule_text *rule,
                         struct json_writer *writer)
{
    struct sentence sentence;

    json_writer_key(writer, SLICE_LITERAL("likely_causes"));
    json_writer_begin_array(writer);
    json_writer_string(writer, rule->cause);
    if (has_leader(brief->codes, brief->code_count) &&
        brief->codes[0].count * 2 > brief->event_count) {
        begin(&sentence);
        add(&sentence, "What raises the error code ");
        add_value(&sentence, &brief->codes[0].value);
        if (has_leader(brief->routes, brief->route_count) &&
            brief->routes[0].count * 2 > brief->event_count) {
            add(&sentence, " on the route ");
            add_value(&sentence, &brief->routes[0].value);
        }
        add(&sentence, ", which most of the events have.");
        end(&sentence, SENTENCE_SIZE_MAX, writer);
    }
    json_writer_end_array(writer);
}

static void write_evidence(const struct incident_brief *brief, struct json_writer *writer)
{
    json_writer_key(writer, SLICE_LITERAL("evidence"));
    json_writer_begin_array(writer);
    write_leader(brief, brief->codes, brief->code_count, " events have the error code ", writer);
    write_leader(brief, brief->routes, brief->route_count, " events come from the route ", writer);
    json_writer_string(
        writer, SLICE_LITERAL("Counted by " LOCAL_SUMMARY_MODEL "; no language model was asked."));
    json_writer_end_array(writer);
}

void local_summary_write(const struct incident_brief *brief, struct json_writer *writer)
{
    const struct rule_text *rule = rule_of(brief);

    json_writer_begin_object(writer);
    write_title(brief, writer);
    write_impact(brief, writer);
    write_causes(brief, rule, writer);
    write_evidence(brief, writer);
    json_writer_key(writer, SLICE_LITERAL("next_steps"));
    json_writer_begin_array(writer);
    for (uint32_t i = 0; i < RULE_STEP_COUNT; i++)
        json_writer_string(writer, rule->steps[i]);
    json_writer_end_array(writer);
    json_writer_key(writer, SLICE_LITERAL("confidence"));
    json_writer_null(writer);
    json_writer_end_object(writer);
}
