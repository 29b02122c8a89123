#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/json_member.h"

Test(json_member, writes_names_with_values_of_every_kind)
{
    char bytes[256];
    struct json_writer writer;
    struct slice text;

    json_writer_init(&writer, bytes, sizeof(bytes));
    json_writer_begin_object(&writer);
    json_member_string(&writer, SLICE_LITERAL("a"), SLICE_LITERAL("\"\n"));
    json_member_u64(&writer, SLICE_LITERAL("b"), UINT64_MAX);
    json_member_boolean(&writer, SLICE_LITERAL("c"), true);
    json_member_time(&writer, SLICE_LITERAL("d"), 0);
    json_member_time_or_null(&writer, SLICE_LITERAL("e"), 0);
    json_member_time_or_null(&writer, SLICE_LITERAL("f"), 1);
    json_writer_end_object(&writer);
    cr_assert(json_writer_finish(&writer, &text));
    cr_expect(
        slice_equal(text, SLICE_LITERAL("{\"a\":\"\\\"\\n\",\"b\":18446744073709551615,\"c\":true,"
                                        "\"d\":\"1970-01-01T00:00:00.000Z\",\"e\":null,"
                                        "\"f\":\"1970-01-01T00:00:00.001Z\"}")));
}
