/*
 * The parent never trusts a worker to come to its end: it is told by the socket,
 * whose other side closes with the process however that dies, and by waitpid().
 * The worker dies with its parent, even when that is killed.
 */
#include "tools/sim/sim_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "runtime/crash_report.h"
#include "runtime/sim_point.h"

/* What a worker says. */
enum { WORD_DONE = 'd', WORD_FAILED = 'f' };

enum { HEAP_KEPT = 1 << 30 };

/* --- in the worker -------------------------------------------------------- */

/* The judge of a worker's runs. */
struct worker_judge {
    struct sim_story_judge judge;
    struct sim_worker *worker;
};

static void copy_hit_counts(struct sim_worker_share *share)
{
    struct sim_point *const *points;
    size_t count;

    points = sim_point_all(&count);
    assert(count <= SIM_WORKER_PLACE_COUNT_MAX);
    for (size_t i = 0; i < count; i++)
        share->hit_counts[i] = points[i]->hit_count;
}

/* Leaves without running what a process does at exit(): the run's state is anyhow. */
NORETURN static void leave(const struct sim_worker *worker)
{
    if (worker->task->run.trace != NULL)
        fflush(worker->task->run.trace);
    _exit(0);
}

/* Gives the turn to the parent. Without a parent there is nothing left to do. */
static void say(const struct sim_worker *worker, char word)
{
    if (send(worker->fd, &word, 1, MSG_NOSIGNAL) != 1)
        leave(worker);
}

static void on_failed(struct sim_story_judge *judge, struct sim_story *story)
{
    const struct sim_worker *worker = container_of(judge, struct worker_judge, judge)->worker;

    assert(story == &worker->share->story);
    copy_hit_counts(worker->share);
    if (worker->task->run.trace != NULL)
        fflush(worker->task->run.trace);
    say(worker, WORD_FAILED);
    leave(worker);
}

static void run_seeds(struct sim_worker *worker)
{
    struct worker_judge judge = {{on_failed}, worker};
    struct sim_run_options options = worker->task->run;

    while (recv(worker->fd, &options.seed, sizeof(options.seed), 0) == sizeof(options.seed)) {
        struct sim_run_result result = {0};

        worker->task->run_seed(&options, &worker->share->story, &judge.judge, &result);
        worker->share->result = result;
        copy_hit_counts(worker->share);
        if (options.trace != NULL)
            fflush(options.trace);
        say(worker, WORD_DONE);
    }
    leave(worker);
}

/* The terminal's Ctrl-C is the parent's business; a mutant's core dump is nobody's. */
NORETURN static void be_worker(struct sim_worker *worker, pid_t parent)
{
    static const struct rlimit NO_CORE = {0, 0};
    sigset_t none;

    sigemptyset(&none);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setrlimit(RLIMIT_CORE, &NO_CORE);
    /* A run frees what the next one needs again: the kernel need not hear of it. */
    mallopt(M_MMAP_THRESHOLD, HEAP_KEPT);
    mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ||
        dup2(worker->output_fd, STDERR_FILENO) < 0 ||
        crash_report_install("in a simulation", CRASH_REPORT_BESIDE_SANITIZER) < 0 ||
        crash_report_thread_start("sim", NULL) < 0)
        _exit(1);
    run_seeds(worker);
    _exit(0);
}

/* --- in the parent -------------------------------------------------------- */

static void worker_check(const struct sim_worker *worker)
{
    assert(worker->share != NULL);
    assert(worker->task != NULL);
    assert(worker->pid > 0 || !worker->is_busy);
}

/* A file in memory that cannot grow, so that a worker in a fury fills no memory. */
static int open_output(void)
{
    int fd = memfd_create("sim worker", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int r;

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, SIM_WORKER_OUTPUT_SIZE_MAX) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) < 0) {
        r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

int sim_worker_init(struct sim_worker *worker, const struct sim_worker_task *task)
{
    void *memory;
    int fd;

    assert(task->run_seed != NULL);
    assert(task->replay_options != NULL);
    *worker = (struct sim_worker){.fd = -1, .output_fd = -1, .task = task};
    memory = mmap(NULL, sizeof(*worker->share), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                  -1, 0);
    if (memory == MAP_FAILED)
        return -errno;
    worker->share = memory;
    fd = open_output();
    worker->output = malloc(SIM_WORKER_OUTPUT_SIZE_MAX + 1);
    worker->output_fd = fd;
    if (fd < 0 || worker->output == NULL) {
        sim_worker_deinit(worker);
        return fd < 0 ? fd : -ENOMEM;
    }
    worker_check(worker);
    return 0;
}

void sim_worker_deinit(struct sim_worker *worker)
{
    if (worker->share == NULL)
        return;
    sim_worker_end(worker);
    if (worker->output_fd >= 0)
        close(worker->output_fd);
    munmap(worker->share, sizeof(*worker->share));
    free(worker->output);
    *worker = (struct sim_worker){.fd = -1, .output_fd = -1};
}

/* Forks. What is buffered for standard output must not be written twice. */
static int start(struct sim_worker *worker)
{
    pid_t parent = getpid();
    int fds[2], r;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    fflush(NULL);
    worker->pid = fork();
    if (worker->pid == 0) {
        close(fds[0]);
        worker->fd = fds[1];
        be_worker(worker, parent);
    }
    r = worker->pid < 0 ? -errno : 0;
    close(fds[1]);
    if (r < 0) {
        worker->pid = 0;
        close(fds[0]);
        return r;
    }
    worker->fd = fds[0];
    return 0;
}

/* Waits for the end of the process, which is near. Gives its wait status. */
static int reap(struct sim_worker *worker)
{
    int status = 0;
    pid_t r;

    assert(worker->pid > 0);
    do
        r = waitpid(worker->pid, &status, 0);
    while (r < 0 && errno == EINTR);
    assert(r == worker->pid);
    close(worker->fd);
    worker->fd = -1;
    worker->pid = 0;
    worker->is_busy = false;
    return status;
}

/* What the process wrote to standard error during this seed. */
static const char *read_output(struct sim_worker *worker)
{
    off_t size = lseek(worker->output_fd, 0, SEEK_CUR);
    ssize_t n = -1;

    if (size > 0)
        n = pread(worker->output_fd, worker->output,
                  min_u64((uint64_t)size, SIM_WORKER_OUTPUT_SIZE_MAX), 0);
    worker->output[n > 0 ? n : 0] = '\0';
    return worker->output;
}

int sim_worker_assign(struct sim_worker *worker, uint64_t seed)
{
    int r;

    worker_check(worker);
    assert(!worker->is_busy);
    sim_story_prepare(&worker->share->story, seed, worker->task->replay_options);
    memset(worker->share->hit_counts, 0, sizeof(worker->share->hit_counts));
    if (lseek(worker->output_fd, 0, SEEK_SET) < 0)
        return -errno;
    r = worker->pid > 0 ? 0 : start(worker);
    if (r < 0)
        return r;
    worker->seed = seed;
    worker->is_busy = true;
    if (send(worker->fd, &seed, sizeof(seed), MSG_NOSIGNAL) != sizeof(seed) && errno != EPIPE)
        return -errno; /* after EPIPE the socket is readable and tells how it died */
    return 0;
}

static void note_death(struct sim_worker *worker, int status)
{
    struct sim_story *story = &worker->share->story;
    const char *output = read_output(worker);

    if (WIFSIGNALED(status))
        sim_story_note_end(story, output, "the process died of signal %d (%s)", WTERMSIG(status),
                           strsignal(WTERMSIG(status)));
    else
        sim_story_note_end(story, output, "the process ended with exit code %d",
                           WEXITSTATUS(status));
}

enum sim_worker_news sim_worker_hear(struct sim_worker *worker)
{
    char word = 0;
    ssize_t n;

    worker_check(worker);
    assert(worker->is_busy);
    do
        n = recv(worker->fd, &word, 1, 0);
    while (n < 0 && errno == EINTR);
    if (n == 1 && word == WORD_DONE) {
        worker->is_busy = false;
        return SIM_WORKER_DONE;
    }
    if (n == 1 && word == WORD_FAILED) {
        reap(worker);
        return SIM_WORKER_FAILED;
    }
    note_death(worker, reap(worker));
    return SIM_WORKER_DIED;
}

void sim_worker_end(struct sim_worker *worker)
{
    if (worker->pid == 0)
        return;
    kill(worker->pid, SIGKILL);
    reap(worker);
}

uint64_t sim_worker_cpu_ns(const struct sim_worker *worker)
{
    worker_check(worker);
    return worker->pid > 0 ? clock_cpu_ns(worker->pid) : 0;
}

void sim_worker_end_hanging(struct sim_worker *worker, uint64_t limit_ms)
{
    worker_check(worker);
    sim_worker_end(worker);
    sim_story_note_end(&worker->share->story, read_output(worker),
                       "the run hangs: it did not end within %llu ms",
                       (unsigned long long)limit_ms);
}
