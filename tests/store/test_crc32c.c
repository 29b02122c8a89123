#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "store/crc32c.h"

static char bytes[12000];

static void setup(void)
{
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7 + i / 256 * 13);
}

TestSuite(crc32c, .init = setup, .timeout = 30);

Test(crc32c, gives_the_values_of_rfc_3720)
{
    char zeros[32] = {0};
    char ones[32];
    char up[32];
    char down[32];
    static const unsigned char command[48] = {
        0x01, 0xc0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 4, 0,
        0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 2,    0, 0, 0, 0, 0, 0, 0};

    memset(ones, 0xff, sizeof(ones));
    for (int i = 0; i < 32; i++) {
        up[i] = (char)i;
        down[i] = (char)(31 - i);
    }
    cr_expect(eq(u32, crc32c(0, zeros, 32), 0x8a9136aa));
    cr_expect(eq(u32, crc32c(0, ones, 32), 0x62a8ab43));
    cr_expect(eq(u32, crc32c(0, up, 32), 0x46dd794e));
    cr_expect(eq(u32, crc32c(0, down, 32), 0x113fdb5c));
    cr_expect(eq(u32, crc32c(0, command, 48), 0xd9963a56));
    cr_expect(eq(u32, crc32c_software(0, command, 48), 0xd9963a56));
    cr_expect(eq(u32, crc32c(0, "123456789", 9), 0xe3069283));
    cr_expect(eq(u32, crc32c(0, NULL, 0), 0));
}

Test(crc32c, agrees_with_the_table_at_every_size_and_alignment)
{
    for (size_t size = 0; size <= 4200; size++)
        cr_assert(
            eq(u32, crc32c(5, bytes + size % 9, size), crc32c_software(5, bytes + size % 9, size)),
            "size %zu", size);
    for (size_t size = 4200; size < 11900; size += 61)
        cr_assert(
            eq(u32, crc32c(5, bytes + size % 9, size), crc32c_software(5, bytes + size % 9, size)),
            "size %zu", size);
}

Test(crc32c, continues_from_any_split)
{
    uint32_t whole = crc32c(0, bytes, 5000);

    for (size_t split = 0; split <= 5000; split += 7)
        cr_assert(eq(u32, crc32c(crc32c(0, bytes, split), bytes + split, 5000 - split), whole));
}
