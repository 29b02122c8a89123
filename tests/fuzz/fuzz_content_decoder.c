/*
 * The first byte chooses encoding and cut. However the input is cut, the verdict
 * and the output are the same, and the cap holds. One exception: whether libzstd
 * notices that a frame is malformed may depend on the cut; what was decoded is the
 * same all the same. (A connection decodes a body that is all there, in one piece.)
 */
#include "http/content_decoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUTPUT_SIZE_MAX = 5000 };

static struct content_decoder decoder;
static char outputs[2][OUTPUT_SIZE_MAX + 1];

static enum content_decoder_result decode(enum content_encoding encoding, const char *text,
                                          size_t size, size_t step, char *output, size_t *ret_size)
{
    enum content_decoder_result result;
    size_t at = 0;
    size_t total = 0;

    content_decoder_start(&decoder, encoding, OUTPUT_SIZE_MAX);
    do {
        size_t piece_size = min_u64(step, size - at);
        size_t room = min_u64(step * 3, OUTPUT_SIZE_MAX + 1 - total);
        size_t consumed;
        size_t produced;

        result = content_decoder_feed(&decoder, (struct slice){text + at, piece_size},
                                      at + piece_size == size, output + total, room, &consumed,
                                      &produced);
        assert(consumed <= piece_size);
        at += consumed;
        total += produced;
        assert(total <= OUTPUT_SIZE_MAX);
    } while (result == CONTENT_DECODER_NEED_MORE || result == CONTENT_DECODER_OUTPUT_FULL);
    *ret_size = total;
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void *workspace;
    enum content_encoding encoding;
    enum content_decoder_result whole;
    enum content_decoder_result cut_up;
    size_t whole_size;
    size_t cut_up_size;

    if (size < 1)
        return 0;
    if (workspace == NULL) {
        size_t workspace_size = content_decoder_workspace_size(CONTENT_DECODER_WINDOW_LOG_MIN);

        workspace = aligned_alloc(16, workspace_size);
        assert(workspace != NULL);
        content_decoder_init(&decoder, workspace, workspace_size, CONTENT_DECODER_WINDOW_LOG_MIN);
    }
    encoding = (enum content_encoding)(data[0] % CONTENT_ENCODING_UNSUPPORTED);
    whole = decode(encoding, (const char *)data + 1, size - 1, size + OUTPUT_SIZE_MAX, outputs[0],
                   &whole_size);
    cut_up = decode(encoding, (const char *)data + 1, size - 1, (size_t)data[0] / 16 + 1,
                    outputs[1], &cut_up_size);
    if (encoding != CONTENT_ENCODING_ZSTD ||
        (whole != CONTENT_DECODER_CORRUPT && cut_up != CONTENT_DECODER_CORRUPT))
        assert(whole == cut_up);
    assert(whole != CONTENT_DECODER_DONE || whole_size == cut_up_size);
    assert(memcmp(outputs[0], outputs[1], min_u64(whole_size, cut_up_size)) == 0);
    return 0;
}
