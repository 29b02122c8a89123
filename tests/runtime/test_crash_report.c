#include "runtime/crash_report.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/memory.h"

static char report[32 * 1024];
static struct trace trace;

/* Runs crash() in a child whose standard error is read into report; gives the wait status. */
static int report_of(void (*crash)(void))
{
    size_t size = 0;
    ssize_t r;
    int ends[2];
    int status = 0;
    pid_t child;

    cr_assert(eq(int, pipe(ends), 0));
    child = fork();
    cr_assert(ge(int, child, 0));
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        crash();
        _exit(0);
    }
    close(ends[1]);
    while ((r = read(ends[0], report + size, sizeof(report) - 1 - size)) > 0)
        size += (size_t)r;
    report[size] = '\0';
    close(ends[0]);
    cr_assert(eq(int, waitpid(child, &status, 0), child));
    return status;
}

static bool was_killed(int status)
{
    return WIFSIGNALED(status);
}

static bool says(const char *text)
{
    return strstr(report, text) != NULL;
}

static void install(const struct trace *thread_trace)
{
    cr_assert(eq(int, crash_report_install("1.2.3", CRASH_REPORT_ALWAYS), 0));
    cr_assert(eq(int, crash_report_thread_start("shard-0", thread_trace), 0));
}

static void record(uint32_t count)
{
    trace_init(&trace);
    for (uint32_t i = 0; i < count; i++) {
        trace_begin(&trace, 5000000000u + i, 0x100 + i, "webhook", (uint16_t)(200 + i));
        trace_end(&trace);
    }
}

static void touch_forbidden_page(void)
{
    char *page = mmap(NULL, MEMORY_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    *(volatile char *)page = 1;
}

TestSuite(crash_report, .timeout = 30);

static void fault_inside_a_handler(void)
{
    install(&trace);
    record(100);
    trace_begin(&trace, 6000000001u, 0xabc, "incident", 321);
    touch_forbidden_page();
}

Test(crash_report, names_signal_actor_message_and_the_last_messages)
{
    int status = report_of(fault_inside_a_handler);

    cr_expect(was_killed(status));
    cr_expect(eq(int, WTERMSIG(status), SIGSEGV));
    cr_expect(says("weir: crash report: SIGSEGV at address 0x"));
    cr_expect(says("weir: version 1.2.3, thread shard-0\n"));
    cr_expect(says("weir: handling in actor incident 0xabc message type 321\n"));
    cr_expect(says("weir: the last 64 messages, latest first:\n"
                   "weir:   6.000000001 s actor incident 0xabc message type 321\n"
                   "weir:   5.000000099 s actor webhook 0x163 message type 299\n"));
    cr_expect(says("webhook 0x125 message type 237\n"));
    cr_expect(not(says("webhook 0x124 message type 236\n")));
    cr_expect(says("weir: backtrace"));
    cr_expect(says("(+0x"));
    cr_expect(says("weir: end of crash report\n"));
}

static void fail_an_assert(void)
{
    install(&trace);
    record(3);
    assert(trace.event_count == 0);
}

Test(crash_report, follows_a_failed_assert_and_ends_by_its_signal)
{
    int status = report_of(fail_an_assert);

    cr_expect(was_killed(status));
    cr_expect(eq(int, WTERMSIG(status), SIGABRT));
    cr_expect(says("trace.event_count == 0"));
    cr_expect(says("weir: crash report: SIGABRT sent by process"));
    cr_expect(says("weir: no actor was running\n"));
    cr_expect(says("weir: the last 3 messages"));
}

static void raise_each_signal_unannounced(int number)
{
    cr_assert(eq(int, crash_report_install("1.2.3", CRASH_REPORT_ALWAYS), 0));
    raise(number);
}

static void raise_bus(void)
{
    raise_each_signal_unannounced(SIGBUS);
}

static void raise_fpe(void)
{
    raise_each_signal_unannounced(SIGFPE);
}

static void raise_ill(void)
{
    raise_each_signal_unannounced(SIGILL);
}

Test(crash_report, covers_the_other_signals_on_a_thread_nobody_announced)
{
    static const struct {
        void (*crash)(void);
        int number;
        const char *text;
    } cases[] = {
        {raise_bus, SIGBUS, "weir: crash report: SIGBUS sent by process"},
        {raise_fpe, SIGFPE, "weir: crash report: SIGFPE sent by process"},
        {raise_ill, SIGILL, "weir: crash report: SIGILL sent by process"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        int status = report_of(cases[i].crash);

        cr_expect(was_killed(status));
        cr_expect(eq(int, WTERMSIG(status), cases[i].number));
        cr_expect(says(cases[i].text), "%s", cases[i].text);
        cr_expect(says("thread (unannounced)\n"));
        cr_expect(says("weir: end of crash report\n"));
    }
}

static void *crash_on_second_thread(void *unused)
{
    (void)unused;
    cr_assert(eq(int, crash_report_thread_start("shard-1", NULL), 0));
    touch_forbidden_page();
    return NULL;
}

static void crash_elsewhere(void)
{
    pthread_t thread;

    install(&trace);
    record(5);
    trace_begin(&trace, 1, 1, "innocent", 1);
    pthread_create(&thread, NULL, crash_on_second_thread, NULL);
    pthread_join(thread, NULL);
}

Test(crash_report, blames_the_thread_that_crashed)
{
    int status = report_of(crash_elsewhere);

    cr_expect(eq(int, WTERMSIG(status), SIGSEGV));
    cr_expect(says("thread shard-1\n"));
    cr_expect(not(says("innocent")));
}

static void fault_while_reporting(void)
{
    install((const struct trace *)(uintptr_t)MEMORY_PAGE_SIZE);
    touch_forbidden_page();
}

Test(crash_report, ends_when_the_report_itself_faults)
{
    int status = report_of(fault_while_reporting);

    cr_expect(was_killed(status));
    cr_expect(eq(int, WTERMSIG(status), SIGSEGV));
    cr_expect(says("weir: crash report: SIGSEGV at address 0x"));
    cr_expect(not(says("weir: end of crash report\n")));
}

static void start_and_stop(void)
{
    install(&trace);
    for (int i = 0; i < 1000; i++) {
        crash_report_thread_stop();
        cr_assert(eq(int, crash_report_thread_start("again", &trace), 0));
    }
    crash_report_thread_stop();
}

Test(crash_report, can_be_announced_again_and_says_nothing_when_nothing_happens)
{
    int status = report_of(start_and_stop);

    cr_expect(not(was_killed(status)));
    cr_expect(eq(str, report, ""));
}

#if !MEMORY_ASAN
/* Not a tail call, and the array is used afterwards: the frames are real. */
static uint32_t descend(volatile char *above)
{
    volatile char here[4096];

    here[0] = above[0];
    return here[0] == 0 ? descend(here) + (uint32_t)here[0] : 0;
}

static void overflow_the_stack(void)
{
    volatile char start[1] = {0};

    install(&trace);
    (void)!descend(start);
}

Test(crash_report, reports_a_stack_overflow)
{
    int status = report_of(overflow_the_stack);

    cr_expect(was_killed(status));
    cr_expect(eq(int, WTERMSIG(status), SIGSEGV));
    cr_expect(says("weir: version 1.2.3, thread shard-0\n"));
    cr_expect(says("weir: end of crash report\n"));
}
#endif

#if MEMORY_ASAN
static void fault_beside_sanitizer(void)
{
    cr_assert(eq(int, crash_report_install("1.2.3", CRASH_REPORT_BESIDE_SANITIZER), 0));
    cr_assert(eq(int, crash_report_thread_start("shard-0", &trace), 0));
    touch_forbidden_page();
}

Test(crash_report, leaves_memory_faults_to_the_sanitizer)
{
    int status = report_of(fault_beside_sanitizer);

    cr_expect(ne(int, status, 0));
    cr_expect(says("AddressSanitizer"));
    cr_expect(not(says("weir: crash report")));
}
#endif
