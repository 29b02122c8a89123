/*
 * Head scan: decides when a message head that comes in pieces is worth parsing.
 *
 * The parsers of requests and responses parse a whole head in one pass and keep
 * nothing between calls but this. Shared so that both are linear in the bytes
 * for the same reason, which stands at the top of head_scan.c.
 */
#pragma once

#include "runtime/base.h"

enum {
    HEAD_SCAN_SIZE_MIN = 128,
    HEAD_SCAN_SIZE_LIMIT = 1 << 30,
};

/* Private to head_scan.c; embedded by the parsers. */
struct head_scan {
    uint32_t head_size_max;
    uint32_t line_size_max;
    uint32_t scanned_size;    /* no empty line ends within these bytes */
    uint32_t next_parse_size; /* parse in full when so much is there */
};

/*
 * Starts a head of at most head_size_max bytes (HEAD_SCAN_SIZE_MIN to
 * HEAD_SCAN_SIZE_LIMIT) whose first line, without CRLF, has at most line_size_max.
 */
void head_scan_init(struct head_scan *scan, size_t head_size_max, size_t line_size_max);

/*
 * True when the head in data, of size bytes (not fewer than the last time and at
 * most head_size_max), should be parsed in full now; false when only more bytes
 * can change the verdict.
 */
MUST_USE bool head_scan_is_due(struct head_scan *scan, const char *data, size_t size);

/* Says that a full parse of size bytes, fewer than head_size_max, wanted more. */
void head_scan_note_parse(struct head_scan *scan, size_t size);
