/*
 * Content decoder: undoes the Content-Encoding of a body, streaming and capped.
 *
 * identity, gzip, deflate (which is the zlib format) and zstd. All memory is the
 * workspace that the caller gave at start-up: no call here allocates. One decoder
 * serves one body at a time; keep a small pool of them per shard.
 *
 * The workspace is touched only as far as a body needs it: about 40 KiB for gzip
 * and deflate; for zstd about 160 KiB plus the window that the frame asks for.
 * Its address space is CONTENT_DECODER_WORKSPACE_SIZE: 8.6 MiB with an 8 MiB
 * window, 1.4 MiB with 1 MiB (window_log 20).
 */
#pragma once

#include "runtime/base.h"

enum {
    CONTENT_DECODER_WINDOW_LOG_MAX = 23, /* RFC 8878 3.1.1.1.2: every decoder should do 8 MiB */
    CONTENT_DECODER_WINDOW_LOG_MIN = 17,
    CONTENT_DECODER_FRAME_HEAD_SIZE_MAX = 18, /* RFC 8878 3.1.1: magic and header */
};

enum content_encoding {
    CONTENT_ENCODING_IDENTITY,
    CONTENT_ENCODING_GZIP,
    CONTENT_ENCODING_DEFLATE,
    CONTENT_ENCODING_ZSTD,
    CONTENT_ENCODING_UNSUPPORTED, /* unknown or chained: 415 with Accept-Encoding */
};

/* The value to send as Accept-Encoding beside a 415. */
#define CONTENT_DECODER_ACCEPT_ENCODING "gzip, deflate, zstd, identity"

enum content_decoder_result {
    CONTENT_DECODER_DONE,             /* the last input was given and all of it decoded */
    CONTENT_DECODER_NEED_MORE,        /* all input is consumed; call again with more */
    CONTENT_DECODER_OUTPUT_FULL,      /* empty the output, call again with what is left of input */
    CONTENT_DECODER_TOO_LARGE,        /* decoded body over output_size_max: 413 */
    CONTENT_DECODER_WINDOW_TOO_LARGE, /* zstd frame wants a window over the limit: 415 */
    CONTENT_DECODER_CORRUPT,          /* damaged, cut short, or followed by garbage: 400 */
};

/* Private to content_decoder.c. */
struct content_decoder {
    unsigned magic;
    enum content_encoding encoding;
    char *workspace;
    size_t workspace_size;
    size_t workspace_used;
    uint64_t output_size_max;
    uint64_t output_size; /* so far */
    void *stream;         /* z_stream or ZSTD_DStream, inside the workspace */
    unsigned window_log;
    uint64_t frame_output_size; /* of the zstd frame being decoded */
    uint8_t frame_head_size;
    uint8_t frame_head[CONTENT_DECODER_FRAME_HEAD_SIZE_MAX]; /* its first bytes */
    bool at_frame_start; /* what has come so far ends with a complete frame */
    bool is_drained;     /* nothing decoded waits for room */
    bool has_ended;      /* not started, or the result was final */
};

/*
 * What a Content-Encoding value asks for; {NULL, 0} and "" are identity. Also
 * x-gzip, as RFC 9110 8.4.1.3 asks. Any case.
 */
MUST_USE enum content_encoding content_encoding_parse(struct slice value);

/* The workspace that zstd windows of up to 1 << window_log bytes need. */
MUST_USE size_t content_decoder_workspace_size(unsigned window_log);

/*
 * Prepares a decoder once, at start-up. Borrows workspace, aligned to 16 bytes, of
 * at least content_decoder_workspace_size(window_log), for as long as it is used.
 */
void content_decoder_init(struct content_decoder *decoder, void *workspace, size_t workspace_size,
                          unsigned window_log);

/*
 * Makes it ready for a body in that encoding, which must not be UNSUPPORTED, of
 * at most output_size_max decoded bytes. Whatever it was doing is forgotten.
 */
void content_decoder_start(struct content_decoder *decoder, enum content_encoding encoding,
                           uint64_t output_size_max);

/*
 * Decodes from input into output, which must have room for at least one byte.
 * is_last says that no input follows this one; it may then be empty. *ret_consumed
 * and *ret_produced are set for every result. Several gzip members or zstd frames
 * in a row are one body, as their formats say. After a result other than NEED_MORE
 * and OUTPUT_FULL call content_decoder_start() first.
 */
MUST_USE enum content_decoder_result
content_decoder_feed(struct content_decoder *decoder, struct slice input, bool is_last,
                     char *output, size_t output_size, size_t *ret_consumed, size_t *ret_produced);
