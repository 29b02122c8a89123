/*
 * Two libraries behind one contract. Both are made to live inside the workspace:
 *
 *     zlib   z_stream, then what inflateInit2() asks for through our zalloc: its
 *            state (7 KiB) and, once output needs it, a window of 32 KiB
 *     zstd   ZSTD_initStaticDStream() over the whole workspace: the context and
 *            buffers for the frame's window; it never calls malloc in this mode
 *
 * content_decoder_start() begins the workspace anew, so nothing is ever freed and
 * nothing of the last body is left to confuse the next.
 *
 * The cap is enforced before output exists, not after: the decoder is never given
 * more room than the cap leaves. When the cap is used up exactly, a scratch byte
 * tells whether the body ends here (fine) or goes on (too large). So a bomb costs
 * the cap and not a byte more.
 *
 * libzstd checks the content size that a frame declares, but in streaming not when
 * the last block is empty; whether a body passes would then depend on how it was
 * cut. So the first bytes of each frame are kept and the size is checked here too.
 *
 * End of body: the formats mark the end of a member or frame themselves, but more
 * of them may follow. The body is complete when the last input is used up just at
 * such an end; within one it is cut short, and what starts after one and is not
 * another is garbage. Both are corrupt.
 */
#include "http/content_decoder.h"

#define ZSTD_STATIC_LINKING_ONLY
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "http/headers.h"

enum {
    MAGIC = 0x636f6465, /* "code" */
    WORKSPACE_ALIGNMENT = 16,
    ZLIB_WINDOW_BITS = 15,
    ZLIB_GZIP_ONLY = 16, /* added to the window bits: no zlib header, no guessing */
    ZLIB_WORKSPACE_SIZE_MIN = 64 * 1024,
};

static void content_decoder_check(const struct content_decoder *decoder)
{
    assert(decoder->magic == MAGIC);
    assert(decoder->workspace != NULL);
    assert(decoder->workspace_used <= decoder->workspace_size);
    assert(decoder->output_size <= decoder->output_size_max);
    assert(decoder->encoding < CONTENT_ENCODING_UNSUPPORTED);
}

enum content_encoding content_encoding_parse(struct slice value)
{
    static const struct {
        struct slice name;
        enum content_encoding encoding;
    } NAMES[] = {
        {{"identity", 8}, CONTENT_ENCODING_IDENTITY}, {{"gzip", 4}, CONTENT_ENCODING_GZIP},
        {{"x-gzip", 6}, CONTENT_ENCODING_GZIP},       {{"deflate", 7}, CONTENT_ENCODING_DEFLATE},
        {{"zstd", 4}, CONTENT_ENCODING_ZSTD},
    };

    value = header_text_trim(value);
    if (value.size == 0)
        return CONTENT_ENCODING_IDENTITY;
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        if (header_text_equal(value, NAMES[i].name))
            return NAMES[i].encoding;
    }
    return CONTENT_ENCODING_UNSUPPORTED;
}

size_t content_decoder_workspace_size(unsigned window_log)
{
    size_t zstd_size;

    assert(window_log >= CONTENT_DECODER_WINDOW_LOG_MIN);
    assert(window_log <= CONTENT_DECODER_WINDOW_LOG_MAX);
    zstd_size = ZSTD_estimateDStreamSize((size_t)1 << window_log);
    assert(!ZSTD_isError(zstd_size));
    return round_up_u64(max_u64(zstd_size, ZLIB_WORKSPACE_SIZE_MIN), WORKSPACE_ALIGNMENT);
}

void content_decoder_init(struct content_decoder *decoder, void *workspace, size_t workspace_size,
                          unsigned window_log)
{
    assert(workspace_size >= content_decoder_workspace_size(window_log));
    assert((uintptr_t)workspace % WORKSPACE_ALIGNMENT == 0);
    *decoder = (struct content_decoder){
        .magic = MAGIC,
        .workspace = workspace,
        .workspace_size = workspace_size,
        .window_log = window_log,
        .has_ended = true, /* until it is started */
    };
    content_decoder_check(decoder);
}

/* The next size bytes of the workspace, or NULL. */
static void *take_workspace(struct content_decoder *decoder, size_t size)
{
    size_t rounded = round_up_u64(size, WORKSPACE_ALIGNMENT);
    char *taken = decoder->workspace + decoder->workspace_used;

    content_decoder_check(decoder);
    if (rounded > decoder->workspace_size - decoder->workspace_used)
        return NULL;
    decoder->workspace_used += rounded;
    return taken;
}

/* zlib's own signature; opaque is the decoder, which the magic confirms. */
static voidpf zlib_take(voidpf opaque, uInt count, uInt size)
{
    return take_workspace(opaque, (size_t)count * size);
}

static void zlib_give_back(voidpf opaque, voidpf address)
{
    const struct content_decoder *decoder = opaque;

    content_decoder_check(decoder);
    assert(address != NULL);
}

static void start_zlib(struct content_decoder *decoder, int window_bits)
{
    z_stream *stream = take_workspace(decoder, sizeof(*stream));
    int r;

    assert(stream != NULL);
    memset(stream, 0, sizeof(*stream));
    stream->zalloc = zlib_take;
    stream->zfree = zlib_give_back;
    stream->opaque = decoder;
    r = inflateInit2(stream, window_bits);
    assert(r == Z_OK); /* ZLIB_WORKSPACE_SIZE_MIN is more than it asks for */
    decoder->stream = stream;
}

static void start_zstd(struct content_decoder *decoder)
{
    ZSTD_DStream *stream = ZSTD_initStaticDStream(decoder->workspace, decoder->workspace_size);
    size_t r;

    assert(stream != NULL);
    r = ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, (int)decoder->window_log);
    assert(!ZSTD_isError(r));
    decoder->workspace_used = decoder->workspace_size;
    decoder->frame_head_size = 0;
    decoder->frame_output_size = 0;
    decoder->stream = stream;
}

void content_decoder_start(struct content_decoder *decoder, enum content_encoding encoding,
                           uint64_t output_size_max)
{
    assert(encoding != CONTENT_ENCODING_UNSUPPORTED);
    decoder->encoding = encoding;
    decoder->output_size_max = output_size_max;
    decoder->output_size = 0;
    decoder->workspace_used = 0;
    decoder->stream = NULL;
    decoder->has_ended = false;
    decoder->is_drained = true;
    decoder->at_frame_start = encoding == CONTENT_ENCODING_IDENTITY; /* empty is complete */
    content_decoder_check(decoder);

    switch (encoding) {
    case CONTENT_ENCODING_GZIP:
        start_zlib(decoder, ZLIB_WINDOW_BITS + ZLIB_GZIP_ONLY);
        break;
    case CONTENT_ENCODING_DEFLATE:
        start_zlib(decoder, ZLIB_WINDOW_BITS);
        break;
    case CONTENT_ENCODING_ZSTD:
        start_zstd(decoder);
        break;
    case CONTENT_ENCODING_IDENTITY:
    case CONTENT_ENCODING_UNSUPPORTED:
        break;
    }
}

/* What one call into a library moved, and whether it is content. */
struct progress {
    size_t consumed;
    size_t produced;
    enum content_decoder_result refusal; /* DONE stands for none */
};

static struct progress run_identity(struct slice input, char *output, size_t output_size)
{
    size_t size = min_u64(input.size, output_size);

    if (size > 0)
        memcpy(output, input.data, size);
    return (struct progress){size, size, CONTENT_DECODER_DONE};
}

/* A member that is followed by more input must be followed by another member. */
static struct progress run_zlib(struct content_decoder *decoder, struct slice input, char *output,
                                size_t output_size)
{
    struct progress progress = {0, 0, CONTENT_DECODER_DONE};
    z_stream *stream = decoder->stream;
    int r;

    if (decoder->at_frame_start && input.size > 0) {
        if (decoder->encoding != CONTENT_ENCODING_GZIP) {
            progress.refusal = CONTENT_DECODER_CORRUPT;
            return progress;
        }
        r = inflateReset(stream);
        assert(r == Z_OK);
    } else if (decoder->at_frame_start) {
        return progress;
    }
    /* z_stream counts in 32 bits; the loop around comes back for the rest. */
    stream->next_in = (z_const Bytef *)(uintptr_t)input.data;
    stream->avail_in = (uInt)min_u64(input.size, UINT32_MAX);
    stream->next_out = (Bytef *)output;
    stream->avail_out = (uInt)min_u64(output_size, UINT32_MAX);
    r = inflate(stream, Z_NO_FLUSH);
    progress.consumed = (size_t)((const char *)stream->next_in - input.data);
    progress.produced = (size_t)((char *)stream->next_out - output);
    decoder->at_frame_start = r == Z_STREAM_END;
    if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
        progress.refusal = CONTENT_DECODER_CORRUPT;
    return progress;
}

/* Keeps the first bytes of a frame, from what was just consumed of it. */
static void note_frame(struct content_decoder *decoder, struct slice consumed, size_t produced)
{
    size_t room = sizeof(decoder->frame_head) - decoder->frame_head_size;
    size_t size = min_u64(room, consumed.size);

    assert(decoder->frame_head_size <= sizeof(decoder->frame_head));
    if (size > 0)
        memcpy(decoder->frame_head + decoder->frame_head_size, consumed.data, size);
    decoder->frame_head_size = (uint8_t)(decoder->frame_head_size + size);
    decoder->frame_output_size += produced;
}

/* At the end of a frame: was there as much as it declared, if it did? Starts anew. */
static bool end_frame(struct content_decoder *decoder)
{
    uint64_t declared = ZSTD_getFrameContentSize(decoder->frame_head, decoder->frame_head_size);
    bool is_right = declared == ZSTD_CONTENTSIZE_UNKNOWN || declared == decoder->frame_output_size;

    assert(decoder->frame_head_size > 0);
    decoder->frame_head_size = 0;
    decoder->frame_output_size = 0;
    return is_right;
}

static struct progress run_zstd(struct content_decoder *decoder, struct slice input, char *output,
                                size_t output_size)
{
    struct progress progress = {0, 0, CONTENT_DECODER_DONE};
    ZSTD_inBuffer in = {input.data, input.size, 0};
    ZSTD_outBuffer out = {output, output_size, 0};
    size_t r;

    if (decoder->at_frame_start && input.size == 0)
        return progress;
    r = ZSTD_decompressStream(decoder->stream, &out, &in);
    progress.consumed = in.pos;
    progress.produced = out.pos;
    if (ZSTD_isError(r)) {
        /* Old formats would need malloc and end here too, as corrupt. */
        progress.refusal = ZSTD_getErrorCode(r) == ZSTD_error_frameParameter_windowTooLarge
                               ? CONTENT_DECODER_WINDOW_TOO_LARGE
                               : CONTENT_DECODER_CORRUPT;
        return progress;
    }
    note_frame(decoder, (struct slice){input.data, in.pos}, out.pos);
    decoder->at_frame_start = r == 0;
    if (r == 0 && !end_frame(decoder))
        progress.refusal = CONTENT_DECODER_CORRUPT;
    return progress;
}

static struct progress run(struct content_decoder *decoder, struct slice input, char *output,
                           size_t output_size)
{
    assert(output_size > 0);
    switch (decoder->encoding) {
    case CONTENT_ENCODING_IDENTITY:
        return run_identity(input, output, output_size);
    case CONTENT_ENCODING_GZIP:
    case CONTENT_ENCODING_DEFLATE:
        return run_zlib(decoder, input, output, output_size);
    case CONTENT_ENCODING_ZSTD:
        return run_zstd(decoder, input, output, output_size);
    case CONTENT_ENCODING_UNSUPPORTED:
        break;
    }
    assert(false && "an unsupported encoding was never started");
    return (struct progress){0, 0, CONTENT_DECODER_CORRUPT};
}

/*
 * Decodes until the input is used up and nothing more comes out, the output is
 * full, or the body is refused. Both libraries hold nothing back: room left over
 * means that they wait for input.
 */
static enum content_decoder_result decode(struct content_decoder *decoder, struct slice input,
                                          char *output, size_t output_size, size_t *ret_consumed,
                                          size_t *ret_produced)
{
    for (;;) {
        uint64_t cap_left = decoder->output_size_max - decoder->output_size;
        size_t room = min_u64(output_size - *ret_produced, cap_left);
        struct slice rest = {input.data, input.size - *ret_consumed};
        char *to = output + *ret_produced;
        struct progress progress;
        char scratch;

        if (rest.size > 0)
            rest.data += *ret_consumed;
        if (cap_left == 0) {
            to = &scratch;
            room = sizeof(scratch);
        } else if (room == 0) {
            return CONTENT_DECODER_OUTPUT_FULL;
        }
        progress = run(decoder, rest, to, room);
        *ret_consumed += progress.consumed;
        if (cap_left == 0 && progress.produced > 0)
            return CONTENT_DECODER_TOO_LARGE;
        *ret_produced += progress.produced;
        decoder->output_size += progress.produced;
        if (progress.refusal != CONTENT_DECODER_DONE)
            return progress.refusal;
        if (progress.produced < room && progress.consumed == rest.size)
            return CONTENT_DECODER_NEED_MORE;
        if (progress.produced == 0 && progress.consumed == 0)
            return CONTENT_DECODER_CORRUPT; /* a library that is stuck on input it refuses */
    }
}

enum content_decoder_result content_decoder_feed(struct content_decoder *decoder,
                                                 struct slice input, bool is_last, char *output,
                                                 size_t output_size, size_t *ret_consumed,
                                                 size_t *ret_produced)
{
    enum content_decoder_result result;

    content_decoder_check(decoder);
    assert(!decoder->has_ended);
    assert(output_size > 0);
    *ret_consumed = 0;
    *ret_produced = 0;
    result = CONTENT_DECODER_NEED_MORE;
    if (input.size > 0 || !decoder->is_drained)
        result = decode(decoder, input, output, output_size, ret_consumed, ret_produced);
    decoder->is_drained = result == CONTENT_DECODER_NEED_MORE;
    if (decoder->is_drained && is_last)
        result = decoder->at_frame_start ? CONTENT_DECODER_DONE : CONTENT_DECODER_CORRUPT;
    decoder->has_ended =
        result != CONTENT_DECODER_NEED_MORE && result != CONTENT_DECODER_OUTPUT_FULL;
    content_decoder_check(decoder);
    return result;
}
