/*
 * Crash report: what the process was doing when it died, on standard error.
 *
 * SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT (a failed assert) print the signal,
 * the address, the thread, the actor and message it was handling, the last
 * messages before that, and a backtrace. Then the signal takes its usual course:
 * the process ends by it, non-zero, and may leave a core. Nothing is repaired;
 * the next start replays the journal.
 *
 * A thread that is not announced still gets a report, without the actor.
 */
#pragma once

#include "runtime/trace.h"

enum crash_report_mode {
    /* Under a sanitizer leave the memory faults to its own, better, report. */
    CRASH_REPORT_BESIDE_SANITIZER,
    /* Take every signal, sanitizer or not. */
    CRASH_REPORT_ALWAYS,
};

/*
 * Installs the handlers for the process and loads what a backtrace needs, because
 * loading in the handler might allocate. Borrows version, a literal. 0 or -errno.
 * Start-up only, once, before other threads exist.
 */
MUST_USE int crash_report_install(const char *version, enum crash_report_mode mode);

/*
 * Announces the calling thread: gives it a stack of its own to report on, so that
 * a stack overflow is reported too. Borrows name and trace until
 * crash_report_thread_stop(); trace may be NULL. 0 or -errno.
 */
MUST_USE int crash_report_thread_start(const char *name, const struct trace *trace);

/* Takes the announcement back. Must be called before the thread ends. */
void crash_report_thread_stop(void);
