/*
 * Round trips through the libraries' own encoders, then damage: every byte
 * changed, every length cut, garbage behind, bombs against the cap.
 */
#include <signal.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <zlib.h>
#include <zstd.h>

#include "http/content_decoder.h"
#include "tests/http/guarded.h"

enum { PLAIN_SIZE = 20000, OUTPUT_SIZE_MAX = 64 * 1024, PACKED_SIZE_MAX = 128 * 1024 };

static struct content_decoder decoder;
static char plain[PLAIN_SIZE];
static char packed[PACKED_SIZE_MAX];
static char output[OUTPUT_SIZE_MAX];
static void *workspace;

static void setup(void)
{
    size_t size = content_decoder_workspace_size(CONTENT_DECODER_WINDOW_LOG_MAX);

    workspace = aligned_alloc(16, size);
    cr_assert(ne(ptr, workspace, NULL));
    content_decoder_init(&decoder, workspace, size, CONTENT_DECODER_WINDOW_LOG_MAX);
    for (size_t i = 0; i < PLAIN_SIZE; i++)
        plain[i] = (char)('a' + (i * i / 7 + i / 100) % 23);
}

static void teardown(void)
{
    free(workspace);
}

TestSuite(content_decoder, .init = setup, .fini = teardown, .timeout = 60);

static size_t pack_zlib(const void *data, size_t size, int window_bits)
{
    z_stream stream = {0};

    cr_assert(eq(int, deflateInit2(&stream, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), 0));
    stream.next_in = (Bytef *)(uintptr_t)data;
    stream.avail_in = (uInt)size;
    stream.next_out = (Bytef *)packed;
    stream.avail_out = sizeof(packed);
    cr_assert(eq(int, deflate(&stream, Z_FINISH), Z_STREAM_END));
    deflateEnd(&stream);
    return stream.total_out;
}

static size_t pack(enum content_encoding encoding, const void *data, size_t size)
{
    size_t packed_size = size;

    switch (encoding) {
    case CONTENT_ENCODING_GZIP:
        return pack_zlib(data, size, 31);
    case CONTENT_ENCODING_DEFLATE:
        return pack_zlib(data, size, 15);
    case CONTENT_ENCODING_ZSTD:
        packed_size = ZSTD_compress(packed, sizeof(packed), data, size, 3);
        cr_assert(not(ZSTD_isError(packed_size)));
        return packed_size;
    case CONTENT_ENCODING_IDENTITY:
    case CONTENT_ENCODING_UNSUPPORTED:
        break;
    }
    memcpy(packed, data, size);
    return packed_size;
}

/* Feeds pieces of in_step bytes into room of out_step bytes until the verdict. */
static enum content_decoder_result decode(enum content_encoding encoding, const char *data,
                                          size_t size, size_t in_step, size_t out_step,
                                          uint64_t limit, size_t *ret_size)
{
    enum content_decoder_result result = CONTENT_DECODER_NEED_MORE;
    size_t at = 0;
    size_t total = 0;

    content_decoder_start(&decoder, encoding, limit);
    do {
        size_t piece_size = size - at < in_step ? size - at : in_step;
        bool is_last = at + piece_size == size;
        struct slice piece = {guarded_copy(data + at, piece_size), piece_size};
        size_t room = sizeof(output) - total < out_step ? sizeof(output) - total : out_step;
        size_t consumed;
        size_t produced;

        cr_assert(lt(sz, 0, room), "the limit of a test fits its output");
        result = content_decoder_feed(&decoder, piece, is_last, output + total, room, &consumed,
                                      &produced);
        cr_assert(le(sz, consumed, piece_size));
        cr_assert(le(sz, produced, room));
        cr_assert(result != CONTENT_DECODER_NEED_MORE || !is_last);
        at += consumed;
        total += produced;
    } while (result == CONTENT_DECODER_NEED_MORE || result == CONTENT_DECODER_OUTPUT_FULL);
    *ret_size = total;
    return result;
}

static const enum content_encoding ENCODINGS[] = {
    CONTENT_ENCODING_IDENTITY,
    CONTENT_ENCODING_GZIP,
    CONTENT_ENCODING_DEFLATE,
    CONTENT_ENCODING_ZSTD,
};

Test(content_decoder, round_trips_every_encoding_in_steps_of_any_size)
{
    static const size_t STEPS[] = {1, 2, 7, 1000, PACKED_SIZE_MAX};

    for (size_t e = 0; e < ARRAY_COUNT(ENCODINGS); e++) {
        size_t packed_size = pack(ENCODINGS[e], plain, PLAIN_SIZE);

        for (size_t i = 0; i < ARRAY_COUNT(STEPS); i++) {
            for (size_t o = 0; o < ARRAY_COUNT(STEPS); o++) {
                size_t size;

                cr_expect(eq(int,
                             decode(ENCODINGS[e], packed, packed_size, STEPS[i], STEPS[o],
                                    OUTPUT_SIZE_MAX - 1, &size),
                             CONTENT_DECODER_DONE),
                          "%zu %zu %zu", e, STEPS[i], STEPS[o]);
                cr_expect(eq(sz, size, PLAIN_SIZE));
                cr_expect(eq(int, memcmp(output, plain, PLAIN_SIZE), 0));
            }
        }
    }
}

Test(content_decoder, takes_an_empty_body_of_every_encoding)
{
    for (size_t e = 0; e < ARRAY_COUNT(ENCODINGS); e++) {
        size_t packed_size = pack(ENCODINGS[e], "", 0);
        size_t size;

        cr_expect(eq(int, decode(ENCODINGS[e], packed, packed_size, 5, 5, 0, &size),
                     CONTENT_DECODER_DONE),
                  "%zu", e);
        cr_expect(eq(sz, size, 0));
    }
}

Test(content_decoder, takes_exactly_the_limit_and_refuses_one_byte_more)
{
    for (size_t e = 0; e < ARRAY_COUNT(ENCODINGS); e++) {
        size_t packed_size = pack(ENCODINGS[e], plain, 5000);

        for (size_t step = 1; step <= PACKED_SIZE_MAX; step *= 37) {
            size_t size;

            cr_expect(eq(int, decode(ENCODINGS[e], packed, packed_size, step, 5000, 5000, &size),
                         CONTENT_DECODER_DONE),
                      "%zu %zu", e, step);
            cr_expect(eq(sz, size, 5000));
            cr_expect(eq(int, decode(ENCODINGS[e], packed, packed_size, step, 5000, 4999, &size),
                         CONTENT_DECODER_TOO_LARGE),
                      "%zu %zu", e, step);
            cr_expect(eq(sz, size, 4999));
        }
    }
}

Test(content_decoder, a_bomb_costs_the_limit_and_no_more)
{
    static char zeros[16 * 1024 * 1024];

    for (size_t e = 1; e < ARRAY_COUNT(ENCODINGS); e++) {
        size_t packed_size = pack(ENCODINGS[e], zeros, sizeof(zeros));
        size_t size;

        cr_assert(lt(sz, packed_size, sizeof(zeros) / 500));
        cr_expect(eq(int,
                     decode(ENCODINGS[e], packed, packed_size, packed_size, 4096, 50000, &size),
                     CONTENT_DECODER_TOO_LARGE));
        cr_expect(eq(sz, size, 50000));
    }
}

Test(content_decoder, refuses_a_body_cut_short_anywhere)
{
    for (size_t e = 1; e < ARRAY_COUNT(ENCODINGS); e++) {
        size_t packed_size = pack(ENCODINGS[e], plain, 1000);

        for (size_t shorter = 0; shorter < packed_size; shorter++) {
            size_t size;

            cr_expect(eq(int,
                         decode(ENCODINGS[e], packed, shorter, PACKED_SIZE_MAX, 777,
                                OUTPUT_SIZE_MAX - 1, &size),
                         CONTENT_DECODER_CORRUPT),
                      "%zu cut at %zu of %zu", e, shorter, packed_size);
        }
    }
}

/* A changed header field (time, file system, or a hint) may be harmless. */
Test(content_decoder, a_changed_byte_never_passes_as_other_content)
{
    for (size_t e = 1; e < ARRAY_COUNT(ENCODINGS); e++) {
        size_t packed_size = pack(ENCODINGS[e], plain, 1000);
        size_t refused_count = 0;

        if (ENCODINGS[e] == CONTENT_ENCODING_ZSTD) {
            ZSTD_CCtx *context = ZSTD_createCCtx();

            ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
            packed_size = ZSTD_compress2(context, packed, sizeof(packed), plain, 1000);
            ZSTD_freeCCtx(context);
        }
        for (size_t i = 0; i < packed_size; i++) {
            enum content_decoder_result result;
            size_t size;

            packed[i] ^= 0x55;
            result = decode(ENCODINGS[e], packed, packed_size, 100, 777, 2000, &size);
            packed[i] ^= 0x55;
            if (result == CONTENT_DECODER_DONE) {
                cr_expect(eq(sz, size, 1000), "%zu at %zu", e, i);
                cr_expect(eq(int, memcmp(output, plain, 1000), 0), "%zu at %zu", e, i);
            } else {
                refused_count++;
            }
        }
        cr_expect(ge(sz, refused_count, packed_size - 10), "%zu", e);
    }
}

Test(content_decoder, refuses_garbage_behind_the_body)
{
    static const char *const GARBAGE[] = {"x", "\n", "garbage", "0000000000000000000000"};

    for (size_t e = 1; e < ARRAY_COUNT(ENCODINGS); e++) {
        for (size_t g = 0; g < ARRAY_COUNT(GARBAGE); g++) {
            size_t packed_size = pack(ENCODINGS[e], plain, 1000);
            size_t size;

            memcpy(packed + packed_size, GARBAGE[g], strlen(GARBAGE[g]));
            packed_size += strlen(GARBAGE[g]);
            cr_expect(eq(int, decode(ENCODINGS[e], packed, packed_size, 1, 777, 2000, &size),
                         CONTENT_DECODER_CORRUPT));
            cr_expect(eq(int,
                         decode(ENCODINGS[e], packed, packed_size, packed_size, 777, 2000, &size),
                         CONTENT_DECODER_CORRUPT));
        }
    }
}

Test(content_decoder, joins_members_and_frames_but_not_zlib_streams)
{
    for (size_t e = 1; e < ARRAY_COUNT(ENCODINGS); e++) {
        size_t packed_size = pack(ENCODINGS[e], plain, 1000);
        bool may_join = ENCODINGS[e] != CONTENT_ENCODING_DEFLATE;
        size_t size;

        memcpy(packed + packed_size, packed, packed_size);
        cr_expect(eq(int, decode(ENCODINGS[e], packed, 2 * packed_size, 13, 777, 2000, &size),
                     may_join ? CONTENT_DECODER_DONE : CONTENT_DECODER_CORRUPT),
                  "%zu", e);
        cr_expect(eq(sz, size, may_join ? 2000 : 1000), "%zu", e);
        if (may_join)
            cr_expect(eq(int, decode(ENCODINGS[e], packed, 2 * packed_size, 13, 777, 1999, &size),
                         CONTENT_DECODER_TOO_LARGE),
                      "the cap counts all of them");
    }
}

Test(content_decoder, does_not_take_one_format_for_another)
{
    for (size_t e = 1; e < ARRAY_COUNT(ENCODINGS); e++) {
        for (size_t other = 1; other < ARRAY_COUNT(ENCODINGS); other++) {
            size_t packed_size = pack(ENCODINGS[e], plain, 1000);
            size_t size;

            if (e != other)
                cr_expect(eq(int,
                             decode(ENCODINGS[other], packed, packed_size, 9, 777, 2000, &size),
                             CONTENT_DECODER_CORRUPT));
        }
    }
}

Test(content_decoder, refuses_raw_deflate)
{
    size_t packed_size = pack_zlib(plain, 1000, -15);
    size_t size;

    cr_expect(eq(int, decode(CONTENT_ENCODING_DEFLATE, packed, packed_size, 9, 777, 2000, &size),
                 CONTENT_DECODER_CORRUPT));
}

Test(content_decoder, refuses_a_zstd_window_over_its_limit)
{
    /* Magic, no content size, a window of 1 << (10 + exponent), an empty last block. */
    char frame[] = {0x28, (char)0xb5, 0x2f, (char)0xfd, 0, 0, 1, 0, 0};
    size_t size;

    frame[5] = (CONTENT_DECODER_WINDOW_LOG_MAX - 10) << 3;
    cr_expect(eq(int, decode(CONTENT_ENCODING_ZSTD, frame, sizeof(frame), 9, 10, 10, &size),
                 CONTENT_DECODER_DONE));
    frame[5] = (char)((CONTENT_DECODER_WINDOW_LOG_MAX - 9) << 3);
    cr_expect(eq(int, decode(CONTENT_ENCODING_ZSTD, frame, sizeof(frame), 9, 10, 10, &size),
                 CONTENT_DECODER_WINDOW_TOO_LARGE));
}

Test(content_decoder, refuses_a_zstd_frame_with_less_than_it_declares)
{
    /* Magic, single segment with a one-byte size of 5, an empty last block. */
    static const char FRAME[] = {0x28, (char)0xb5, 0x2f, (char)0xfd, 0x20, 5, 1, 0, 0};
    size_t size;

    for (size_t step = 1; step <= sizeof(FRAME); step++)
        for (size_t room = 1; room <= 10; room++)
            cr_expect(eq(int,
                         decode(CONTENT_ENCODING_ZSTD, FRAME, sizeof(FRAME), step, room, 10, &size),
                         CONTENT_DECODER_CORRUPT),
                      "%zu %zu", step, room);
}

Test(content_decoder, serves_the_largest_window_from_its_workspace)
{
    static char random_bytes[9 * 1024 * 1024];
    static char large_packed[10 * 1024 * 1024];
    ZSTD_CCtx *context = ZSTD_createCCtx();
    uint64_t state = 88172645463325252;
    size_t packed_size;
    size_t at = 0;
    size_t total = 0;
    enum content_decoder_result result;

    for (size_t i = 0; i < sizeof(random_bytes); i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        random_bytes[i] = (char)state;
    }
    /* The last part repeats the first, 8 MiB less a little back. */
    memcpy(random_bytes + 8 * 1024 * 1024 - 1000, random_bytes, 100000);
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, CONTENT_DECODER_WINDOW_LOG_MAX);
    ZSTD_CCtx_setParameter(context, ZSTD_c_enableLongDistanceMatching, 1);
    packed_size = ZSTD_compress2(context, large_packed, sizeof(large_packed), random_bytes,
                                 sizeof(random_bytes));
    ZSTD_freeCCtx(context);
    cr_assert(not(ZSTD_isError(packed_size)));

    content_decoder_start(&decoder, CONTENT_ENCODING_ZSTD, sizeof(random_bytes));
    do {
        size_t consumed;
        size_t produced;

        result = content_decoder_feed(&decoder, (struct slice){large_packed + at, packed_size - at},
                                      true, output, sizeof(output), &consumed, &produced);
        cr_assert(eq(int, memcmp(output, random_bytes + total, produced), 0));
        at += consumed;
        total += produced;
    } while (result == CONTENT_DECODER_OUTPUT_FULL);
    cr_expect(eq(int, result, CONTENT_DECODER_DONE));
    cr_expect(eq(sz, total, sizeof(random_bytes)));
}

Test(content_decoder, waits_through_any_number_of_empty_pieces)
{
    for (size_t e = 0; e < ARRAY_COUNT(ENCODINGS); e++) {
        size_t packed_size = pack(ENCODINGS[e], plain, 1000);
        size_t half = packed_size / 2;
        size_t consumed;
        size_t first;
        size_t second;

        content_decoder_start(&decoder, ENCODINGS[e], 1000);
        cr_assert(eq(int,
                     content_decoder_feed(&decoder, (struct slice){packed, half}, false, output,
                                          sizeof(output), &consumed, &first),
                     CONTENT_DECODER_NEED_MORE));
        for (int i = 0; i < 50; i++)
            cr_assert(
                eq(int,
                   content_decoder_feed(&decoder, (struct slice){NULL, 0}, false, output + first,
                                        sizeof(output) - first, &consumed, &second),
                   CONTENT_DECODER_NEED_MORE));
        cr_assert(eq(
            int,
            content_decoder_feed(&decoder, (struct slice){packed + half, packed_size - half}, true,
                                 output + first, sizeof(output) - first, &consumed, &second),
            CONTENT_DECODER_DONE));
        cr_expect(eq(sz, first + second, 1000));
    }
}

Test(content_decoder, can_be_told_of_the_end_afterwards)
{
    for (size_t e = 0; e < ARRAY_COUNT(ENCODINGS); e++) {
        size_t packed_size = pack(ENCODINGS[e], plain, 1000);
        size_t consumed;
        size_t produced;

        content_decoder_start(&decoder, ENCODINGS[e], 1000);
        cr_assert(eq(int,
                     content_decoder_feed(&decoder, (struct slice){packed, packed_size}, false,
                                          output, sizeof(output), &consumed, &produced),
                     CONTENT_DECODER_NEED_MORE));
        cr_expect(eq(int,
                     content_decoder_feed(&decoder, (struct slice){NULL, 0}, true, output,
                                          sizeof(output), &consumed, &produced),
                     CONTENT_DECODER_DONE));
    }
}

Test(content_decoder, knows_its_encodings_and_no_chains)
{
    static const struct {
        const char *value;
        enum content_encoding encoding;
    } ROWS[] = {
        {"", CONTENT_ENCODING_IDENTITY},
        {" identity ", CONTENT_ENCODING_IDENTITY},
        {"gzip", CONTENT_ENCODING_GZIP},
        {"GZIP", CONTENT_ENCODING_GZIP},
        {"x-gzip", CONTENT_ENCODING_GZIP},
        {"deflate", CONTENT_ENCODING_DEFLATE},
        {"zstd", CONTENT_ENCODING_ZSTD},
        {"br", CONTENT_ENCODING_UNSUPPORTED},
        {"gzip, gzip", CONTENT_ENCODING_UNSUPPORTED},
        {"gzip,identity", CONTENT_ENCODING_UNSUPPORTED},
        {"gzip,", CONTENT_ENCODING_UNSUPPORTED},
        {"gzi", CONTENT_ENCODING_UNSUPPORTED},
        {"*", CONTENT_ENCODING_UNSUPPORTED},
    };

    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++)
        cr_expect(eq(int, content_encoding_parse(slice_of(ROWS[i].value)), ROWS[i].encoding), "%s",
                  ROWS[i].value);
    cr_expect(eq(int, content_encoding_parse((struct slice){NULL, 0}), CONTENT_ENCODING_IDENTITY));
}

Test(content_decoder, aborts_when_fed_after_its_verdict, .signal = SIGABRT)
{
    enum content_decoder_result result;
    size_t consumed;
    size_t produced;

    content_decoder_start(&decoder, CONTENT_ENCODING_GZIP, 10);
    result = content_decoder_feed(&decoder, SLICE_LITERAL("not gzip"), false, output, 10, &consumed,
                                  &produced);
    cr_assert(eq(int, result, CONTENT_DECODER_CORRUPT));
    result = content_decoder_feed(&decoder, SLICE_LITERAL("more"), false, output, 10, &consumed,
                                  &produced);
    cr_assert(eq(int, result, CONTENT_DECODER_CORRUPT));
}
