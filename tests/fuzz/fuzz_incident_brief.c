/*
 * Fuzz: an incident and its events, as the read model gives them.
 *
 * The prompt of any brief fits its bound; its local summary is one that we would take from a
 * model.
 */
#include <stdlib.h>

#include "contracts/incident_brief.h"
#include "contracts/local_summary.h"
#include "contracts/summary_output.h"
#include "contracts/summary_prompt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char buffer[SUMMARY_PROMPT_SIZE_MAX];

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct incident_brief brief;
    static struct summary_output output;
    struct slice text = {(const char *)data, size};
    struct json_writer writer;

    if (!incident_brief_read(text, &brief))
        return 0;
    require(brief.code_count <= brief.event_count);
    require(brief.route_count <= brief.event_count);
    json_writer_init(&writer, buffer, sizeof(buffer));
    summary_prompt_write(&brief, &writer);
    require(json_writer_finish(&writer, &text));
    json_writer_init(&writer, buffer, LOCAL_SUMMARY_SIZE_MAX);
    local_summary_write(&brief, &writer);
    require(json_writer_finish(&writer, &text));
    require(summary_output_read(text, &output));
    require(!output.has_confidence);
    return 0;
}
