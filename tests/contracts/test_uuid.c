#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/uuid.h"

TestSuite(uuid, .timeout = 5);

Test(uuid, accepts_either_case_and_any_version)
{
    cr_expect(uuid_is_valid(SLICE_LITERAL("550e8400-e29b-41d4-a716-446655440000")));
    cr_expect(uuid_is_valid(SLICE_LITERAL("550E8400-E29B-41D4-A716-446655440000")));
    cr_expect(uuid_is_valid(SLICE_LITERAL("00000000-0000-0000-0000-000000000000")));
    cr_expect(uuid_is_valid(SLICE_LITERAL("ffffffff-ffff-ffff-ffff-fffffffffFFF")));
    cr_expect(uuid_is_valid(SLICE_LITERAL("01890a5d-ac96-774b-bcce-b302099a8057")));
}

Test(uuid, refuses_every_other_byte_at_every_position)
{
    static const char VALID[] = "550e8400-e29b-41d4-a716-446655440000";
    char text[UUID_TEXT_SIZE];

    for (size_t at = 0; at < sizeof(text); at++) {
        for (int byte = 0; byte < 256; byte++) {
            bool is_hyphen = VALID[at] == '-';
            bool is_hex = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f') ||
                          (byte >= 'A' && byte <= 'F');

            memcpy(text, VALID, sizeof(text));
            text[at] = (char)byte;
            cr_assert(eq(int, uuid_is_valid((struct slice){text, sizeof(text)}),
                         is_hyphen ? byte == '-' : is_hex));
        }
    }
}

Test(uuid, refuses_other_sizes)
{
    cr_expect(not(uuid_is_valid(SLICE_LITERAL(""))));
    cr_expect(not(uuid_is_valid(SLICE_LITERAL("550e8400-e29b-41d4-a716-44665544000"))));
    cr_expect(not(uuid_is_valid(SLICE_LITERAL("550e8400-e29b-41d4-a716-4466554400000"))));
    cr_expect(not(uuid_is_valid(SLICE_LITERAL("{550e8400-e29b-41d4-a716-446655440000}"))));
    cr_expect(not(uuid_is_valid(SLICE_LITERAL("550e8400e29b41d4a716446655440000"))));
}

Test(uuid, reads_both_cases_as_the_same_bytes_and_writes_lower_case)
{
    uint8_t lower[UUID_SIZE];
    uint8_t upper[UUID_SIZE];
    char text[UUID_TEXT_SIZE];

    cr_assert(uuid_parse(SLICE_LITERAL("0123abcd-ef45-6789-abcd-ef0123456789"), lower));
    cr_assert(uuid_parse(SLICE_LITERAL("0123ABCD-EF45-6789-ABCD-EF0123456789"), upper));
    cr_expect(eq(int, memcmp(lower, upper, UUID_SIZE), 0));
    cr_expect(eq(u8, lower[0], 0x01));
    cr_expect(eq(u8, lower[15], 0x89));
    uuid_format(upper, text);
    cr_expect(slice_equal((struct slice){text, sizeof(text)},
                          SLICE_LITERAL("0123abcd-ef45-6789-abcd-ef0123456789")));
}

Test(uuid, marks_version_and_variant_over_the_random_bits)
{
    uint8_t bits[UUID_SIZE];
    char text[UUID_TEXT_SIZE];

    memset(bits, 0xff, sizeof(bits));
    uuid_format_v4(bits, text);
    cr_expect(slice_equal((struct slice){text, sizeof(text)},
                          SLICE_LITERAL("ffffffff-ffff-4fff-bfff-ffffffffffff")));
    memset(bits, 0, sizeof(bits));
    uuid_format_v4(bits, text);
    cr_expect(slice_equal((struct slice){text, sizeof(text)},
                          SLICE_LITERAL("00000000-0000-4000-8000-000000000000")));
}
