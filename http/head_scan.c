/*
 * Nearly always the first call sees the whole head and one full pass is all.
 *
 * When the head comes in pieces, parsing all of it again for each piece would be
 * quadratic, and keeping a half-filled request per connection would cost 3 KiB
 * for each slow client. So in between only line ends are looked for, from where
 * the last call stopped: a full pass is due
 *
 *   - when an empty line has come, so that the head is complete;
 *   - when an LF without CR has come, which the full pass will refuse;
 *   - when twice the bytes of the last full pass have come, so that garbage is
 *     refused long before the limit;
 *   - when a limit is reached.
 *
 * The third makes full passes a geometric series: at most twice the work of one.
 * Every answer comes from a full pass, which stops at the first offending byte;
 * hence the verdict does not depend on how the bytes were cut, only how soon after
 * an offending byte it is given.
 */
#include "http/head_scan.h"

static void head_scan_check(const struct head_scan *scan)
{
    assert(scan->head_size_max >= HEAD_SCAN_SIZE_MIN);
    assert(scan->head_size_max <= HEAD_SCAN_SIZE_LIMIT);
    assert(scan->scanned_size < scan->next_parse_size);
    assert(scan->next_parse_size <= scan->head_size_max);
}

void head_scan_init(struct head_scan *scan, size_t head_size_max, size_t line_size_max)
{
    assert(head_size_max >= HEAD_SCAN_SIZE_MIN);
    assert(head_size_max <= HEAD_SCAN_SIZE_LIMIT);
    assert(line_size_max <= HEAD_SCAN_SIZE_LIMIT);
    *scan = (struct head_scan){
        .head_size_max = (uint32_t)head_size_max,
        .line_size_max = (uint32_t)line_size_max,
        .next_parse_size = 1,
    };
}

/* Looks at the new bytes only. */
static bool has_telling_line_end(const struct head_scan *scan, const char *data, size_t size)
{
    const char *end = data + size;
    const char *lf = data + scan->scanned_size;

    while (lf < end && (lf = memchr(lf, '\n', (size_t)(end - lf))) != NULL) {
        ptrdiff_t index = lf - data;

        if (index == 0 || lf[-1] != '\r')
            return true;
        if (index >= 3 && lf[-2] == '\n')
            return true;
        lf++;
    }
    return false;
}

bool head_scan_is_due(struct head_scan *scan, const char *data, size_t size)
{
    head_scan_check(scan);
    assert(size >= scan->scanned_size);
    assert(size <= scan->head_size_max);
    if (size >= scan->next_parse_size)
        return true;
    if (size > scan->scanned_size && has_telling_line_end(scan, data, size))
        return true;
    scan->scanned_size = (uint32_t)size;
    return false;
}

void head_scan_note_parse(struct head_scan *scan, size_t size)
{
    uint32_t line_limit = scan->line_size_max + 2;
    uint32_t next = size > 0 ? (uint32_t)size * 2 : 1;

    assert(size < scan->head_size_max);
    assert(size >= scan->scanned_size);
    for (int i = 0; i < 2; i++, line_limit += 2) { /* without and with an empty line before */
        if (size < line_limit && next > line_limit)
            next = line_limit;
    }
    scan->scanned_size = (uint32_t)size;
    scan->next_parse_size = next < scan->head_size_max ? next : scan->head_size_max;
    head_scan_check(scan);
}
