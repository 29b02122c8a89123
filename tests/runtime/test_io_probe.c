#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/io_probe.h"

/*
 * The first half refuses io_uring for real, in the test's own process: seccomp
 * filters and resource limits. The second feeds the diagnosis with facts that
 * cannot be had here, such as other kernels.
 */

enum { NOBODY = 65534, ACTION_COUNT_MAX = 3 };

static const struct io_uring_config CONFIG = {
    .entries = 64, .cq_entries = 256, .recv_buffer_count = 16};

/* From now on these system calls answer -error. */
static void refuse(const long *calls, size_t call_count, int error)
{
    struct sock_filter filter[2 + 2 * ACTION_COUNT_MAX];
    struct sock_fprog program = {.filter = filter};
    unsigned short n = 0;

    cr_assert(le(sz, call_count, ACTION_COUNT_MAX));
    filter[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < call_count; i++) {
        filter[n++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i], 0, 1);
        filter[n++] =
            (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error);
    }
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    program.len = n;
    cr_assert(eq(int, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0));
    cr_assert(eq(int, prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0));
}

static const long ALL_CALLS[] = {SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register};

static void expect_says(const struct io_probe *probe, const char *word)
{
    cr_expect(ne(ptr, (void *)strstr(probe->text, word), NULL), "\"%s\" lacks \"%s\"", probe->text,
              word);
}

static void expect_is_silent_about(const struct io_probe *probe, const char *word)
{
    cr_expect(eq(ptr, (void *)strstr(probe->text, word), NULL), "\"%s\" has \"%s\"", probe->text,
              word);
}

TestSuite(io_probe, .timeout = 60);

Test(io_probe, finds_io_uring_usable_here)
{
    struct io_probe probe;

    cr_expect(eq(int, io_probe_run(&CONFIG, 2, &probe), 0));
    cr_expect(eq(int, probe.cause, IO_PROBE_USABLE));
    cr_expect(eq(int, probe.facts.step, IO_PROBE_DONE));
    cr_expect(eq(u64, probe.facts.memlock_need, 2 * io_uring_memlock_need(&CONFIG)));
    cr_expect(lt(u32, 0, probe.facts.kernel_major));
}

Test(io_probe, blames_a_seccomp_filter_that_answers_eperm)
{
    struct io_probe probe;

    refuse(ALL_CALLS, ARRAY_COUNT(ALL_CALLS), EPERM);
    cr_expect(eq(int, io_probe_run(&CONFIG, 1, &probe), -EPERM));
    cr_expect(eq(int, probe.cause, IO_PROBE_SECCOMP));
    cr_expect(eq(int, probe.facts.seccomp_mode, 2));
    cr_expect(io_probe_may_fall_back(&probe));
    expect_says(&probe, "EPERM");
    expect_says(&probe, "seccomp");
    expect_is_silent_about(&probe, "sysctl");
}

Test(io_probe, blames_a_seccomp_filter_that_answers_enosys)
{
    struct io_probe probe;

    refuse(ALL_CALLS, ARRAY_COUNT(ALL_CALLS), ENOSYS);
    cr_expect(eq(int, io_probe_run(&CONFIG, 1, &probe), -ENOSYS));
    cr_expect(eq(int, probe.cause, IO_PROBE_SECCOMP));
    cr_expect(io_probe_may_fall_back(&probe));
    expect_says(&probe, "seccomp");
    expect_is_silent_about(&probe, "CONFIG_IO_URING");
}

Test(io_probe, blames_a_seccomp_filter_that_lets_only_the_set_up_pass)
{
    static const long CALLS[] = {SYS_io_uring_enter, SYS_io_uring_register};
    struct io_probe probe;

    refuse(CALLS, ARRAY_COUNT(CALLS), EPERM);
    cr_expect(eq(int, io_probe_run(&CONFIG, 1, &probe), -EPERM));
    cr_expect(eq(int, probe.cause, IO_PROBE_SECCOMP));
    cr_expect(eq(int, probe.facts.step, IO_PROBE_REGISTER));
    expect_says(&probe, "io_uring_register()");
    expect_is_silent_about(&probe, "sysctl");
}

Test(io_probe, blames_a_seccomp_filter_that_refuses_only_entering)
{
    static const long CALLS[] = {SYS_io_uring_enter};
    struct io_probe probe;

    refuse(CALLS, ARRAY_COUNT(CALLS), EPERM);
    cr_expect(eq(int, io_probe_run(&CONFIG, 1, &probe), -EPERM));
    cr_expect(eq(int, probe.cause, IO_PROBE_SECCOMP));
    cr_expect(eq(int, probe.facts.step, IO_PROBE_ENTER));
    expect_says(&probe, "io_uring_enter()");
}

/* Leaves root, whom the limit does not bind. */
static void become_nobody(void)
{
    if (setresuid(NOBODY, NOBODY, NOBODY) < 0)
        cr_skip("only root can become somebody else");
    prctl(PR_SET_DUMPABLE, 1); /* the leak checker wants to look at us */
}

static void limit_locked_memory(uint64_t size)
{
    struct rlimit limit = {.rlim_cur = size, .rlim_max = size};

    cr_assert(eq(int, setrlimit(RLIMIT_MEMLOCK, &limit), 0));
}

Test(io_probe, blames_a_tiny_limit_of_locked_memory)
{
    struct io_probe probe;

    limit_locked_memory(4096);
    become_nobody();
    if (io_probe_run(&CONFIG, 1, &probe) == 0)
        cr_skip("this kernel does not charge rings to the limit");
    cr_expect(eq(int, probe.cause, IO_PROBE_MEMLOCK));
    cr_expect(eq(int, probe.facts.error, ENOMEM));
    cr_expect(not(io_probe_may_fall_back(&probe)));
    expect_says(&probe, "RLIMIT_MEMLOCK");
    expect_says(&probe, "limit is 4 KiB");
}

Test(io_probe, counts_the_rings_of_all_shards_against_the_limit)
{
    struct io_probe probe;

    /* Room for the small ring of the probe and for two, but not for sixteen. */
    limit_locked_memory(3 * io_uring_memlock_need(&CONFIG));
    become_nobody();
    if (io_probe_run(&CONFIG, 16, &probe) == 0)
        cr_skip("this kernel does not charge rings to the limit");
    cr_expect(eq(int, probe.cause, IO_PROBE_MEMLOCK));
    cr_expect(eq(int, probe.facts.step, IO_PROBE_RINGS));
    expect_says(&probe, "16 rings");
}

Test(io_probe, blames_the_limit_of_open_files)
{
    struct rlimit limit, none;
    struct io_probe probe;

    cr_assert(eq(int, getrlimit(RLIMIT_NOFILE, &limit), 0));
    none = limit;
    none.rlim_cur = 0;
    cr_assert(eq(int, setrlimit(RLIMIT_NOFILE, &none), 0));
    cr_expect(eq(int, io_probe_run(&CONFIG, 1, &probe), -EMFILE));
    cr_assert(eq(int, setrlimit(RLIMIT_NOFILE, &limit), 0));
    cr_expect(eq(int, probe.cause, IO_PROBE_DESCRIPTORS));
    cr_expect(not(io_probe_may_fall_back(&probe)));
    expect_says(&probe, "RLIMIT_NOFILE");
}

/* --- Facts that cannot be had here ------------------------------------------------------ */

static struct io_probe_facts facts_of(enum io_probe_step step, int error)
{
    return (struct io_probe_facts){.step = step,
                                   .error = error,
                                   .sysctl = 0,
                                   .kernel_major = 6,
                                   .kernel_minor = 12,
                                   .ring_count = 4,
                                   .memlock_need = 1000 * 1024,
                                   .memlock_limit = UINT64_MAX};
}

static struct io_probe diagnose(struct io_probe_facts facts)
{
    struct io_probe probe;

    io_probe_diagnose(&facts, &probe);
    return probe;
}

TestSuite(io_probe_diagnose, .timeout = 20);

Test(io_probe_diagnose, names_the_sysctl_when_it_forbids_everybody)
{
    struct io_probe_facts facts = facts_of(IO_PROBE_SETUP, EPERM);
    struct io_probe probe;

    facts.sysctl = 2;
    facts.privileged = true;
    probe = diagnose(facts);
    cr_expect(eq(int, probe.cause, IO_PROBE_SYSCTL));
    expect_says(&probe, "sysctl -w kernel.io_uring_disabled=0");
    expect_is_silent_about(&probe, "seccomp");
}

Test(io_probe_diagnose, names_the_sysctl_when_it_forbids_only_the_unprivileged)
{
    struct io_probe_facts facts = facts_of(IO_PROBE_SETUP, EPERM);

    facts.sysctl = 1;
    cr_expect(eq(int, diagnose(facts).cause, IO_PROBE_SYSCTL));
    facts.privileged = true;
    facts.seccomp_mode = 2;
    cr_expect(eq(int, diagnose(facts).cause, IO_PROBE_SECCOMP));
}

Test(io_probe_diagnose, does_not_blame_the_sysctl_for_a_later_step)
{
    struct io_probe_facts facts = facts_of(IO_PROBE_ENTER, EPERM);

    facts.sysctl = 2;
    facts.seccomp_mode = 2;
    cr_expect(eq(int, diagnose(facts).cause, IO_PROBE_SECCOMP));
}

Test(io_probe_diagnose, sends_the_reader_to_the_security_module_when_nothing_else_fits)
{
    struct io_probe probe = diagnose(facts_of(IO_PROBE_SETUP, EPERM));

    cr_expect(eq(int, probe.cause, IO_PROBE_UNKNOWN));
    expect_says(&probe, "SELinux");
}

Test(io_probe_diagnose, names_an_old_kernel)
{
    struct io_probe_facts facts = facts_of(IO_PROBE_SETUP, EINVAL);
    struct io_probe probe;

    facts.kernel_major = 5;
    facts.kernel_minor = 15;
    probe = diagnose(facts);
    cr_expect(eq(int, probe.cause, IO_PROBE_KERNEL_OLD));
    expect_says(&probe, "5.15");
    facts.error = ENOSYS;
    cr_expect(eq(int, diagnose(facts).cause, IO_PROBE_KERNEL_OLD));
    facts.kernel_major = 6;
    facts.kernel_minor = 0;
    cr_expect(eq(int, diagnose(facts).cause, IO_PROBE_KERNEL_OLD));
    facts.kernel_minor = 1;
    facts.error = EINVAL;
    cr_expect(eq(int, diagnose(facts).cause, IO_PROBE_UNKNOWN));
}

Test(io_probe_diagnose, tells_a_kernel_without_io_uring_from_a_filter)
{
    struct io_probe_facts facts = facts_of(IO_PROBE_SETUP, ENOSYS);

    facts.sysctl = -1; /* the file is there only when io_uring was built in */
    cr_expect(eq(int, diagnose(facts).cause, IO_PROBE_KERNEL_WITHOUT));
    facts.sysctl = 0;
    cr_expect(eq(int, diagnose(facts).cause, IO_PROBE_SECCOMP));
}

Test(io_probe_diagnose, does_not_blame_the_limit_for_memory_when_there_is_none)
{
    struct io_probe_facts facts = facts_of(IO_PROBE_RINGS, ENOMEM);

    cr_expect(eq(int, diagnose(facts).cause, IO_PROBE_UNKNOWN));
    facts.memlock_limit = 65536;
    cr_expect(eq(int, diagnose(facts).cause, IO_PROBE_MEMLOCK));
}

Test(io_probe_diagnose, gives_the_fix_that_fits_the_container)
{
    struct io_probe_facts facts = facts_of(IO_PROBE_SETUP, EPERM);
    struct io_probe probe;

    facts.seccomp_mode = 2;
    facts.container = IO_PROBE_DOCKER;
    probe = diagnose(facts);
    expect_says(&probe, "docker run --security-opt seccomp=unconfined");
    facts.container = IO_PROBE_KUBERNETES;
    probe = diagnose(facts);
    expect_says(&probe, "seccompProfile");
    facts.container = IO_PROBE_PODMAN;
    probe = diagnose(facts);
    expect_says(&probe, "podman run");
    facts.error = ENOMEM;
    facts.memlock_limit = 65536;
    probe = diagnose(facts);
    expect_says(&probe, "podman run --ulimit memlock=-1:-1");
}

Test(io_probe_diagnose, ends_every_text_with_a_full_sentence_that_fits)
{
    static const int ERRORS[] = {EPERM,  EACCES, ENOSYS, EINVAL, ENOMEM,
                                 EMFILE, ENFILE, EBADF,  4095};

    for (size_t i = 0; i < ARRAY_COUNT(ERRORS); i++) {
        for (int container = IO_PROBE_NO_CONTAINER; container <= IO_PROBE_KUBERNETES; container++) {
            for (int mode = 0; mode <= 2; mode += 2) {
                struct io_probe_facts facts = facts_of(IO_PROBE_SETUP, ERRORS[i]);
                struct io_probe probe;

                facts.container = (enum io_probe_container)container;
                facts.seccomp_mode = mode;
                facts.memlock_limit = UINT64_MAX - (uint64_t)mode;
                probe = diagnose(facts);
                cr_expect(ne(int, probe.cause, IO_PROBE_USABLE));
                cr_expect(eq(chr, probe.text[strlen(probe.text) - 1], '.'));
                expect_says(&probe, "Fix: ");
            }
        }
    }
}

Test(io_probe_diagnose, has_a_name_for_every_cause)
{
    for (int a = IO_PROBE_USABLE; a <= IO_PROBE_UNKNOWN; a++)
        for (int b = IO_PROBE_USABLE; b < a; b++)
            cr_expect(ne(str, (char *)io_probe_cause_name((enum io_probe_cause)a),
                         (char *)io_probe_cause_name((enum io_probe_cause)b)));
}

Test(io_probe, aborts_on_more_rings_than_there_can_be_shards, .signal = SIGABRT)
{
    struct io_probe probe;

    (void)!io_probe_run(&CONFIG, IO_PROBE_RING_COUNT_MAX + 1, &probe);
}
