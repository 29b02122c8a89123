#include <signal.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "http/head_scan.h"

static struct head_scan scan;

static void setup(void)
{
    head_scan_init(&scan, 1000, 100);
}

TestSuite(head_scan, .init = setup);

Test(head_scan, is_due_at_once_but_not_without_bytes)
{
    cr_expect(not(head_scan_is_due(&scan, NULL, 0)));
    cr_expect(head_scan_is_due(&scan, "G", 1));
}

Test(head_scan, waits_through_plain_bytes_and_good_lines)
{
    static const char TEXT[] = "GET / HTTP/1.1\r\na: b\r\nc";

    head_scan_note_parse(&scan, 14);
    for (size_t size = 14; size < sizeof(TEXT); size++)
        cr_expect(not(head_scan_is_due(&scan, TEXT, size)), "%zu", size);
}

Test(head_scan, is_due_when_an_empty_line_has_come)
{
    static const char TEXT[] = "GET / HTTP/1.1\r\na: b\r\n\r\n";

    head_scan_note_parse(&scan, 14);
    cr_expect(not(head_scan_is_due(&scan, TEXT, sizeof(TEXT) - 2)));
    cr_expect(head_scan_is_due(&scan, TEXT, sizeof(TEXT) - 1));
}

Test(head_scan, is_due_when_there_is_nothing_but_empty_lines)
{
    head_scan_note_parse(&scan, 2);
    cr_expect(not(head_scan_is_due(&scan, "\r\n\r", 3)));
    head_scan_note_parse(&scan, 3);
    cr_expect(head_scan_is_due(&scan, "\r\n\r\n", 4));
}

Test(head_scan, is_due_when_a_bare_lf_has_come)
{
    static const char TEXT[] = "GET / HTTP/1.1\na";

    head_scan_note_parse(&scan, 13);
    cr_expect(not(head_scan_is_due(&scan, TEXT, 14)));
    cr_expect(head_scan_is_due(&scan, TEXT, 15));
}

Test(head_scan, is_due_at_twice_the_size_and_at_every_limit)
{
    static char text[1000];

    memset(text, 'a', sizeof(text));
    head_scan_note_parse(&scan, 30);
    cr_expect(not(head_scan_is_due(&scan, text, 59)));
    cr_expect(head_scan_is_due(&scan, text, 60));
    head_scan_note_parse(&scan, 60);
    cr_expect(not(head_scan_is_due(&scan, text, 101)));
    cr_expect(head_scan_is_due(&scan, text, 102), "the line limit with its CRLF");
    head_scan_note_parse(&scan, 102);
    cr_expect(not(head_scan_is_due(&scan, text, 103)));
    cr_expect(head_scan_is_due(&scan, text, 104), "and with an empty line before");
    head_scan_note_parse(&scan, 600);
    cr_expect(not(head_scan_is_due(&scan, text, 999)));
    cr_expect(head_scan_is_due(&scan, text, 1000), "the head limit");
}

Test(head_scan, aborts_when_bytes_vanish, .signal = SIGABRT)
{
    bool is_due;

    head_scan_note_parse(&scan, 14);
    is_due = head_scan_is_due(&scan, "GET", 3);
    cr_assert(not(is_due));
}
