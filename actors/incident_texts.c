#include "actors/incident_texts.h"

#include "contracts/envelope.h"
#include "contracts/json_string.h"
#include "contracts/utf8.h"
#include "store/event_record.h"
#include "store/record_types.h"

/*
 * The parts of a title are decoded in memory of this call, so that control characters can be
 * taken out of them; the names are the event's own.
 */

enum { TITLE_PART_MAX = 110 };

static_assert(2 * TITLE_PART_MAX + 32 <= INCIDENT_TITLE_SIZE_MAX, "a title always fits");

/* A part of a title: what the client wrote, cut, without what would break a line. */
static struct slice part_of(char *whole, size_t size, size_t size_max, struct slice otherwise)
{
    size = utf8_cut((struct slice){whole, size}, size_max);
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)whole[i] < ' ')
            whole[i] = ' ';
    return size == 0 ? otherwise : (struct slice){whole, size};
}

static size_t write_title(enum incident_rule rule, const struct raw_event *event,
                          char title[INCIDENT_TITLE_SIZE_MAX])
{
    char code_text[FINGERPRINT_PART_SIZE_MAX], route_text[FINGERPRINT_PART_SIZE_MAX];
    struct slice environment = event_environment_name(event->environment);
    struct slice code = SLICE_LITERAL("Unknown"), route = SLICE_LITERAL("unknown");
    int size = 0;

    if (event->error_code.type != JSON_ABSENT && event->error_code.type != JSON_NULL)
        code = part_of(code_text, fingerprint_part_write(&event->error_code, code_text),
                       TITLE_PART_MAX, code);
    route = part_of(route_text, series_route_write(event, route_text), TITLE_PART_MAX, route);

    switch (rule) {
    case INCIDENT_RULE_ERROR_SPIKE:
    case INCIDENT_RULE_NEW_ERROR:
        size = snprintf(title, INCIDENT_TITLE_SIZE_MAX, "Error spike: %.*s on %.*s", (int)code.size,
                        code.data, (int)route.size, route.data);
        break;
    case INCIDENT_RULE_SIGNUP_DROP:
        size = snprintf(title, INCIDENT_TITLE_SIZE_MAX, "Signup drop detected in %.*s",
                        (int)environment.size, environment.data);
        break;
    case INCIDENT_RULE_OVERFLOW:
    case INCIDENT_RULE_COUNT:
        size = snprintf(title, INCIDENT_TITLE_SIZE_MAX,
                        "Too many different errors in %.*s: the rest are counted together",
                        (int)environment.size, environment.data);
        break;
    }
    assert(size > 0 && size < INCIDENT_TITLE_SIZE_MAX);
    return (size_t)size;
}

bool incident_texts_read(const struct journal_record_view *view, enum incident_rule rule,
                         struct incident_texts *ret_texts)
{
    struct slice *sections = ret_texts->sections, bytes;
    struct record_event header;
    struct envelope envelope;

    if (view->type != RECORD_EVENT ||
        !event_record_decode(view->version, view->payload, &header, &bytes) ||
        !envelope_read(bytes, &envelope))
        return false;
    if (!json_string_text(&envelope.org_id, ret_texts->org, sizeof(ret_texts->org),
                          &sections[INCIDENT_SECTION_ORG]) ||
        !json_string_text(&envelope.project_id, ret_texts->project, sizeof(ret_texts->project),
                          &sections[INCIDENT_SECTION_PROJECT]))
        return false;
    sections[INCIDENT_SECTION_FINGERPRINT] =
        rule == INCIDENT_RULE_OVERFLOW
            ? slice_of(SERIES_OVERFLOW_TEXT)
            : (struct slice){ret_texts->fingerprint,
                             series_text_write(&envelope.event, ret_texts->fingerprint)};
    sections[INCIDENT_SECTION_TITLE] =
        (struct slice){ret_texts->title, write_title(rule, &envelope.event, ret_texts->title)};
    sections[INCIDENT_SECTION_ACTOR] = (struct slice){NULL, 0};
    return true;
}
