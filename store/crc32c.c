/*
 * The polynomial is 0x1edc6f41, reflected 0x82f63b78. The SSE4.2 instruction takes
 * 8 bytes with a latency of three cycles but can start one each cycle, so a whole
 * block is cut into three lanes of equal length whose CRCs run side by side and
 * are joined at the end: the CRC of A|B is shift(crc(A), |B|) ^ crc0(B), and
 * shifting is a carry-less multiplication by x^(8|B|) modulo the polynomial. The
 * multiplication leaves 64 bits, which the crc32 instruction itself reduces; that
 * adds x^33, so the constants are x^(8|B| - 33). test_crc32c.c compares every size
 * and alignment with the table version, which also proves the constants.
 */
#include "store/crc32c.h"

#if defined(__SSE4_2__) && defined(__PCLMUL__)
#define CRC32C_HARDWARE 1
#include <nmmintrin.h>
#include <wmmintrin.h>
#else
#define CRC32C_HARDWARE 0
#endif

static const uint32_t POLYNOMIAL = 0x82f63b78;

/* What a nibble becomes when it is shifted out. */
static uint32_t shift_nibble(uint32_t crc)
{
    for (int bit = 0; bit < 4; bit++)
        crc = crc >> 1 ^ ((crc & 1) != 0 ? POLYNOMIAL : 0);
    return crc;
}

uint32_t crc32c_software(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint32_t table[16];

    assert(data != NULL || size == 0);
    for (uint32_t i = 0; i < 16; i++)
        table[i] = shift_nibble(i);
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

#if CRC32C_HARDWARE

/* Three lanes of this many 8-byte words; a 4 KiB block without its CRC holds 511 words. */
enum { LANE_LONG_WORDS = 168, LANE_SHORT_WORDS = 16 };

/* x^(8 * bytes - 33) for one and two lanes; reflected. See the essay. */
struct lane_constants {
    uint32_t one;
    uint32_t two;
};

static const struct lane_constants LONG_CONSTANTS = {0xc9c8b782, 0x889774e1};
static const struct lane_constants SHORT_CONSTANTS = {0x0d3b6092, 0xb9e02b86};

static inline uint64_t load_word(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
    return word;
}

/* The product as the 64 bits that the crc32 instruction reduces. */
static inline uint64_t multiply(uint64_t crc, uint32_t constant)
{
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)crc),
                                           _mm_cvtsi32_si128((int)constant), 0);

    return (uint64_t)_mm_cvtsi128_si64(product);
}

/* Three lanes of word_count words each; returns the register after all of them. */
static inline uint64_t run_lanes(uint64_t crc, const uint8_t *bytes, size_t word_count,
                                 struct lane_constants constants)
{
    const uint8_t *second = bytes + word_count * 8;
    const uint8_t *third = second + word_count * 8;
    uint64_t crc_second = 0;
    uint64_t crc_third = 0;

    for (size_t i = 0; i < word_count; i++) {
        crc = _mm_crc32_u64(crc, load_word(bytes + i * 8));
        crc_second = _mm_crc32_u64(crc_second, load_word(second + i * 8));
        crc_third = _mm_crc32_u64(crc_third, load_word(third + i * 8));
    }
    return crc_third ^
           _mm_crc32_u64(0, multiply(crc, constants.two) ^ multiply(crc_second, constants.one));
}

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint64_t state = ~crc;

    assert(data != NULL || size == 0);
    while (size >= LANE_LONG_WORDS * 24) {
        state = run_lanes(state, bytes, LANE_LONG_WORDS, LONG_CONSTANTS);
        bytes += LANE_LONG_WORDS * 24;
        size -= LANE_LONG_WORDS * 24;
    }
    while (size >= LANE_SHORT_WORDS * 24) {
        state = run_lanes(state, bytes, LANE_SHORT_WORDS, SHORT_CONSTANTS);
        bytes += LANE_SHORT_WORDS * 24;
        size -= LANE_SHORT_WORDS * 24;
    }
    for (; size >= 8; bytes += 8, size -= 8)
        state = _mm_crc32_u64(state, load_word(bytes));
    for (; size > 0; bytes++, size--)
        state = _mm_crc32_u8((uint32_t)state, *bytes);
    return ~(uint32_t)state;
}

#else

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    return crc32c_software(crc, data, size);
}

#endif
