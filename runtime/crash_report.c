#include "runtime/crash_report.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <unistd.h>

#include "runtime/memory.h"
#include "runtime/text_writer.h"

/*
 * Everything below handle_crash() is async-signal-safe: it reads memory that the
 * crashed thread owns, composes lines on the alternate stack with text_writer and
 * writes them with write(2). backtrace() and backtrace_symbols_fd() do not allocate
 * once libgcc has been loaded, which crash_report_install() makes sure of by
 * calling backtrace() once.
 *
 * SA_RESETHAND puts the default action back before the handler runs. So a fault
 * inside the handler ends the process instead of looping, and the handler itself
 * only has to raise the signal again: it is blocked now and strikes on return.
 *
 *     weir: crash report: SIGSEGV at address 0x10
 *     weir: version 0.1.0, thread shard-0
 *     weir: handling message type 193 in actor webhook 0x...
 *     weir: the last 64 messages, latest first:
 *     weir:   12.345678901 s actor webhook 0x... message type 193
 *     weir: backtrace (addr2line -f -e weir ADDRESS...):
 *     ...
 *     weir: end of crash report
 */

enum {
    ALTERNATE_STACK_SIZE = 128 * 1024, /* the unwinder and a frame of AVX-512 fit well */
    LINE_SIZE_MAX = 512,
    FRAME_COUNT_MAX = 64,
};

#if MEMORY_ASAN || defined(__SANITIZE_THREAD__)
static const bool SANITIZED = true;
#else
static const bool SANITIZED = false;
#endif

/* What the handler knows about the thread it runs on. */
struct crash_thread {
    const char *name;
    const struct trace *trace;
    char *stack; /* alternate stack; NULL when the thread kept its own */
};

static const struct {
    int number;
    bool is_fault; /* raised by the hardware: si_addr means something */
    const char *name;
} SIGNALS[] = {
    {SIGSEGV, true, "SIGSEGV"}, {SIGBUS, true, "SIGBUS"},    {SIGFPE, true, "SIGFPE"},
    {SIGILL, true, "SIGILL"},   {SIGABRT, false, "SIGABRT"},
};

static _Thread_local struct crash_thread crash_thread;
static const char *crash_version = "unknown";
static bool uses_alternate_stack;

static void put_line(struct text_writer *line)
{
    size_t done = 0;

    /* Cut lines still end: the last byte is kept for this. */
    line->capacity++;
    line->overflowed = false;
    text_writer_char(line, '\n');
    while (done < line->size) {
        ssize_t r = write(STDERR_FILENO, line->data + done, line->size - done);

        if (r > 0)
            done += (size_t)r;
        else if (r == 0 || errno != EINTR)
            break;
    }
}

static void start_line(struct text_writer *line, char *memory)
{
    text_writer_init(line, memory, LINE_SIZE_MAX - 1);
    text_writer_put(line, SLICE_LITERAL("weir: "));
}

static void put_event(struct text_writer *line, const struct trace_event *event)
{
    text_writer_text(line, event->actor_type != NULL ? event->actor_type : "(no type)");
    text_writer_char(line, ' ');
    text_writer_hex(line, event->actor_id);
    text_writer_put(line, SLICE_LITERAL(" message type "));
    text_writer_u64(line, event->message_type);
}

static void report_signal(const siginfo_t *info)
{
    char memory[LINE_SIZE_MAX];
    struct text_writer line;
    const char *name = "signal";
    bool is_fault = false;

    for (size_t i = 0; i < ARRAY_COUNT(SIGNALS); i++) {
        if (SIGNALS[i].number == info->si_signo) {
            name = SIGNALS[i].name;
            is_fault = SIGNALS[i].is_fault;
        }
    }
    start_line(&line, memory);
    text_writer_put(&line, SLICE_LITERAL("crash report: "));
    text_writer_text(&line, name);
    if (info->si_code > 0 && is_fault) {
        text_writer_put(&line, SLICE_LITERAL(" at address "));
        text_writer_hex(&line, (uint64_t)(uintptr_t)info->si_addr);
        text_writer_put(&line, SLICE_LITERAL(", code "));
        text_writer_i64(&line, info->si_code);
    } else {
        text_writer_put(&line, SLICE_LITERAL(" sent by process "));
        text_writer_i64(&line, info->si_pid);
    }
    put_line(&line);
}

static void report_thread(void)
{
    const struct trace *trace = crash_thread.trace;
    char memory[LINE_SIZE_MAX];
    struct text_writer line;

    start_line(&line, memory);
    text_writer_put(&line, SLICE_LITERAL("version "));
    text_writer_text(&line, crash_version);
    text_writer_put(&line, SLICE_LITERAL(", thread "));
    text_writer_text(&line, crash_thread.name != NULL ? crash_thread.name : "(unannounced)");
    put_line(&line);

    start_line(&line, memory);
    if (trace != NULL && trace->running && trace_count(trace) > 0) {
        text_writer_put(&line, SLICE_LITERAL("handling in actor "));
        put_event(&line, trace_at(trace, 0));
    } else {
        text_writer_put(&line, SLICE_LITERAL("no actor was running"));
    }
    put_line(&line);
}

static void report_trace(void)
{
    uint32_t count = crash_thread.trace != NULL ? trace_count(crash_thread.trace) : 0;
    char memory[LINE_SIZE_MAX];
    struct text_writer line;

    start_line(&line, memory);
    text_writer_put(&line, SLICE_LITERAL("the last "));
    text_writer_u64(&line, count);
    text_writer_put(&line, SLICE_LITERAL(" messages, latest first:"));
    put_line(&line);
    for (uint32_t age = 0; age < count; age++) {
        const struct trace_event *event = trace_at(crash_thread.trace, age);

        start_line(&line, memory);
        text_writer_put(&line, SLICE_LITERAL("  "));
        text_writer_u64(&line, event->mono_ns / 1000000000);
        text_writer_char(&line, '.');
        text_writer_padded(&line, event->mono_ns % 1000000000, 9);
        text_writer_put(&line, SLICE_LITERAL(" s actor "));
        put_event(&line, event);
        put_line(&line);
    }
}

static void report_backtrace(void)
{
    void *frames[FRAME_COUNT_MAX];
    char memory[LINE_SIZE_MAX];
    struct text_writer line;

    start_line(&line, memory);
    text_writer_put(&line, SLICE_LITERAL("backtrace (addr2line -f -e weir ADDRESS...):"));
    put_line(&line);
    backtrace_symbols_fd(frames, backtrace(frames, FRAME_COUNT_MAX), STDERR_FILENO);
    start_line(&line, memory);
    text_writer_put(&line, SLICE_LITERAL("end of crash report"));
    put_line(&line);
}

/* The most certain facts come first: should the report fault, they are out. */
static void handle_crash(int number, siginfo_t *info, void *context)
{
    (void)context;
    report_signal(info);
    report_thread();
    report_trace();
    report_backtrace();
    (void)raise(number);
}

int crash_report_install(const char *version, enum crash_report_mode mode)
{
    struct sigaction action = {.sa_sigaction = handle_crash};
    bool everything = mode == CRASH_REPORT_ALWAYS || !SANITIZED;
    void *frames[1];

    assert(version != NULL);
    (void)backtrace(frames, ARRAY_COUNT(frames));
    crash_version = version;
    uses_alternate_stack = everything;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_COUNT(SIGNALS); i++) {
        if (!everything && SIGNALS[i].is_fault)
            continue;
        if (sigaction(SIGNALS[i].number, &action, NULL) < 0)
            return -errno;
    }
    return 0;
}

int crash_report_thread_start(const char *name, const struct trace *trace)
{
    stack_t stack = {.ss_size = ALTERNATE_STACK_SIZE};
    int r;

    assert(name != NULL);
    assert(crash_thread.name == NULL);
    if (uses_alternate_stack) {
        r = memory_map(ALTERNATE_STACK_SIZE, &crash_thread.stack);
        if (r < 0)
            return r;
        stack.ss_sp = crash_thread.stack;
        if (sigaltstack(&stack, NULL) < 0) {
            r = -errno;
            memory_unmap(&crash_thread.stack, ALTERNATE_STACK_SIZE);
            return r;
        }
    }
    crash_thread.name = name;
    crash_thread.trace = trace;
    return 0;
}

void crash_report_thread_stop(void)
{
    stack_t stack = {.ss_flags = SS_DISABLE};
    int r;

    assert(crash_thread.name != NULL);
    if (crash_thread.stack != NULL) {
        /* A sanitizer unmaps whatever stack it finds at the end of a thread: not this one. */
        r = sigaltstack(&stack, NULL);
        assert(r == 0);
        memory_unmap(&crash_thread.stack, ALTERNATE_STACK_SIZE);
    }
    crash_thread = (struct crash_thread){.name = NULL};
}
