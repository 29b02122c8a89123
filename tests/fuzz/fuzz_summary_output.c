/*
 * Fuzz: a text as a summary.
 *
 * What is accepted is written within its bound, and what was written is accepted and written
 * to the same bytes; what is refused has problems that can be put into words.
 */
#include <stdlib.h>

#include "contracts/summary_output.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char first[SUMMARY_WRITTEN_SIZE_MAX];
static char second[SUMMARY_WRITTEN_SIZE_MAX];
static char lines[SUMMARY_EXPLAINED_SIZE_MAX];

static void require(bool condition)
{
    if (!condition)
        abort();
}

static struct slice write_output(const struct summary_output *output, char *buffer)
{
    struct json_writer writer;
    struct slice text = {NULL, 0};

    json_writer_init(&writer, buffer, SUMMARY_WRITTEN_SIZE_MAX);
    summary_output_write(output, &writer);
    require(json_writer_finish(&writer, &text));
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct summary_output output;
    struct slice text = {(const char *)data, size}, once, twice;

    if (!summary_output_read(text, &output)) {
        require(output.problem_count > 0);
        require(summary_output_explain(&output, lines) <= SUMMARY_EXPLAINED_SIZE_MAX);
        return 0;
    }
    require(!output.has_confidence || (output.confidence >= 0 && output.confidence <= 1));
    once = write_output(&output, first);
    require(summary_output_read(once, &output));
    twice = write_output(&output, second);
    require(slice_equal(once, twice));
    return 0;
}
