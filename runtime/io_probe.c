#include "runtime/io_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "runtime/capability.h"
#include "runtime/io_uring.h"
#include "runtime/recv_ring.h"

/*
 * Two halves. try_*() does what the shards will do and notes where it ended;
 * gather() reads what the system tells about itself. From these facts diagnose()
 * chooses, as a pure function that the tests feed with every combination.
 *
 * What tells the causes of EPERM apart: the sysctl is asked by io_uring_setup()
 * alone, so a refusal at a later step is a filter's. And a filter in place proves
 * nothing by itself (systemd installs harmless ones), so the sysctl is looked at
 * first. ENOSYS from a kernel that has the sysctl file can only be a filter's,
 * because that file exists only where io_uring was built in.
 */
enum { KERNEL_MAJOR_MIN = 6, KERNEL_MINOR_MIN = 1, KIB = 1024, PROBE_ENTRIES = 4 };

/* --- The attempt ---------------------------------------------------------------------- */

/* A no-op through an enabled ring and back. */
static int try_nop(struct io_uring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    struct io_uring_cqe *cqe = NULL;
    int r;

    assert(sqe != NULL);
    io_uring_prep_nop(sqe);
    r = io_uring_submit_and_wait(ring, 1);
    if (r < 0)
        return r;
    r = io_uring_peek_cqe(ring, &cqe);
    if (r < 0)
        return r;
    r = cqe->res;
    io_uring_cqe_seen(ring, cqe);
    return r;
}

static int try_small_ring(enum io_probe_step *ret_step)
{
    const struct io_uring_config config = {.entries = PROBE_ENTRIES,
                                           .cq_entries = 2 * PROBE_ENTRIES};
    struct recv_ring recv_ring;
    struct io_uring ring;
    int r;

    *ret_step = IO_PROBE_SETUP;
    r = io_uring_setup_ring(&config, &ring);
    if (r < 0)
        return r;
    *ret_step = IO_PROBE_REGISTER;
    r = recv_ring_init(&recv_ring, &ring, 1, KIB);
    if (r < 0) {
        io_uring_queue_exit(&ring);
        return r;
    }
    r = io_uring_register((unsigned int)ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (r >= 0) {
        *ret_step = IO_PROBE_ENTER;
        r = try_nop(&ring);
    }
    io_uring_queue_exit(&ring);
    recv_ring_deinit(&recv_ring);
    return r;
}

/* All at once, because they share one limit. */
static int try_all_rings(const struct io_uring_config *config, uint32_t ring_count)
{
    struct io *ios[IO_PROBE_RING_COUNT_MAX] = {0};
    int r = 0;

    for (uint32_t i = 0; i < ring_count && r == 0; i++)
        r = io_uring_new(config, &ios[i]);
    for (uint32_t i = 0; i < ring_count; i++)
        io_free(&ios[i]);
    return r;
}

/* --- The facts -------------------------------------------------------------------------- */

/* The beginning of a small file as text, "" when it cannot be read. */
static void read_text(const char *path, char *text, size_t size)
{
    ssize_t n = 0;
    int fd;

    text[0] = '\0';
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    n = read(fd, text, size - 1);
    text[n > 0 ? n : 0] = '\0';
    close(fd);
}

/* The decimal number at the beginning of text, default_value when there is none. */
static int number_or(const char *text, int default_value)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (end == text || value < INT32_MIN || value > INT32_MAX)
        return default_value;
    return (int)value;
}

static int read_seccomp_mode(void)
{
    static const char KEY[] = "\nSeccomp:";
    char status[8192];
    const char *line;

    read_text("/proc/self/status", status, sizeof(status));
    line = strstr(status, KEY);
    return line == NULL ? -1 : number_or(line + sizeof(KEY) - 1, -1);
}

static void read_kernel_version(struct io_probe_facts *facts)
{
    struct utsname name;
    const char *dot;
    int r;

    r = uname(&name);
    assert(r == 0);
    facts->kernel_major = (uint32_t)number_or(name.release, 0);
    dot = strchr(name.release, '.');
    facts->kernel_minor = dot == NULL ? 0 : (uint32_t)number_or(dot + 1, 0);
}

static bool is_in_group(int group)
{
    gid_t groups[256];
    int count;

    if (group < 0)
        return false;
    if (getegid() == (gid_t)group)
        return true;
    count = getgroups((int)ARRAY_COUNT(groups), groups);
    for (int i = 0; i < count; i++)
        if (groups[i] == (gid_t)group)
            return true;
    return false;
}

static enum io_probe_container find_container(void)
{
    if (getenv("KUBERNETES_SERVICE_HOST") != NULL)
        return IO_PROBE_KUBERNETES;
    if (access("/.dockerenv", F_OK) == 0)
        return IO_PROBE_DOCKER;
    if (access("/run/.containerenv", F_OK) == 0)
        return IO_PROBE_PODMAN;
    return IO_PROBE_NO_CONTAINER;
}

static void gather(struct io_probe_facts *facts)
{
    char text[32];

    read_text("/proc/sys/kernel/io_uring_disabled", text, sizeof(text));
    facts->sysctl = number_or(text, -1);
    read_text("/proc/sys/kernel/io_uring_group", text, sizeof(text));
    facts->privileged = capability_is_effective(CAP_SYS_ADMIN) || is_in_group(number_or(text, -1));
    facts->seccomp_mode = read_seccomp_mode();
    read_kernel_version(facts);
    facts->memlock_limit = io_uring_memlock_limit();
    facts->container = find_container();
}

/* --- The diagnosis ---------------------------------------------------------------------- */

static bool is_kernel_old(const struct io_probe_facts *facts)
{
    if (facts->kernel_major != KERNEL_MAJOR_MIN)
        return facts->kernel_major < KERNEL_MAJOR_MIN;
    return facts->kernel_minor < KERNEL_MINOR_MIN;
}

static enum io_probe_cause choose_not_permitted(const struct io_probe_facts *facts)
{
    bool forbidden = facts->sysctl == 2 || (facts->sysctl == 1 && !facts->privileged);

    if (facts->step == IO_PROBE_SETUP && forbidden)
        return IO_PROBE_SYSCTL;
    return facts->seccomp_mode > 0 ? IO_PROBE_SECCOMP : IO_PROBE_UNKNOWN;
}

static enum io_probe_cause choose_no_such_call(const struct io_probe_facts *facts)
{
    if (is_kernel_old(facts))
        return IO_PROBE_KERNEL_OLD;
    if (facts->seccomp_mode > 0 || facts->step != IO_PROBE_SETUP || facts->sysctl >= 0)
        return IO_PROBE_SECCOMP;
    return IO_PROBE_KERNEL_WITHOUT;
}

static enum io_probe_cause choose(const struct io_probe_facts *facts)
{
    switch (facts->error) {
    case 0:
        return IO_PROBE_USABLE;
    case EPERM:
    case EACCES:
        return choose_not_permitted(facts);
    case ENOSYS:
        return choose_no_such_call(facts);
    case EINVAL:
        return is_kernel_old(facts) ? IO_PROBE_KERNEL_OLD : IO_PROBE_UNKNOWN;
    case ENOMEM:
        return facts->memlock_limit != UINT64_MAX ? IO_PROBE_MEMLOCK : IO_PROBE_UNKNOWN;
    case EMFILE:
    case ENFILE:
        return IO_PROBE_DESCRIPTORS;
    default:
        return IO_PROBE_UNKNOWN;
    }
}

static const char *step_name(enum io_probe_step step)
{
    switch (step) {
    case IO_PROBE_SETUP:
        return "io_uring_setup()";
    case IO_PROBE_REGISTER:
        return "io_uring_register()";
    case IO_PROBE_ENTER:
        return "io_uring_enter()";
    case IO_PROBE_RINGS:
        return "creating the rings of all shards";
    case IO_PROBE_DONE:
        break;
    }
    return "everything";
}

static const char *seccomp_fix(enum io_probe_container container)
{
    switch (container) {
    case IO_PROBE_DOCKER:
        return "start the container with `docker run --security-opt seccomp=unconfined`, or with a "
               "seccomp profile that also allows";
    case IO_PROBE_PODMAN:
        return "start the container with `podman run --security-opt seccomp=unconfined`, or with a "
               "seccomp profile that also allows";
    case IO_PROBE_KUBERNETES:
        return "set `securityContext.seccompProfile` of the pod to `type: Unconfined`, or to "
               "`type: Localhost` with a profile that also allows";
    case IO_PROBE_NO_CONTAINER:
        break;
    }
    return "in a systemd unit extend `SystemCallFilter=`, in a container use "
           "`--security-opt seccomp=unconfined` or a profile; the filter must allow";
}

static const char *memlock_fix(enum io_probe_container container)
{
    switch (container) {
    case IO_PROBE_DOCKER:
        return "`docker run --ulimit memlock=-1:-1`";
    case IO_PROBE_PODMAN:
        return "`podman run --ulimit memlock=-1:-1`";
    case IO_PROBE_KUBERNETES:
        return "raise the node's container runtime limit (`LimitMEMLOCK=infinity` in its unit) or "
               "add the capability IPC_LOCK to the container";
    case IO_PROBE_NO_CONTAINER:
        break;
    }
    return "`LimitMEMLOCK=infinity` in the systemd unit, or `ulimit -l unlimited` as root before "
           "the start";
}

static const char *unknown_hint(int error)
{
    switch (error) {
    case EPERM:
    case EACCES:
        return "neither the sysctl nor a seccomp filter explains it; a security module such as "
               "SELinux or AppArmor may forbid it. Fix: look for a denial in `journalctl -k` or "
               "`ausearch -m avc`, and allow io_uring there";
    case ENOMEM:
        return "the kernel is out of memory; locked memory is not limited for this user. Fix: free "
               "memory, or lower --shards";
    default:
        return "none of the known causes fits. Fix: run `strace -e "
               "trace=io_uring_setup,io_uring_register,io_uring_enter weir serve` and report the "
               "line with the error";
    }
}

/* What comes after "Cause: ". */
static void explain(const struct io_probe_facts *facts, enum io_probe_cause cause, char *text,
                    size_t size)
{
    switch (cause) {
    case IO_PROBE_USABLE:
        break;
    case IO_PROBE_SYSCTL:
        snprintf(text, size,
                 "the sysctl kernel.io_uring_disabled is %d. Fix: `sysctl -w "
                 "kernel.io_uring_disabled=0` as root, and the same line in /etc/sysctl.d/ to "
                 "keep it%s.",
                 facts->sysctl,
                 facts->sysctl == 1 ? "; or add this user to the group in kernel.io_uring_group"
                                    : "");
        break;
    case IO_PROBE_SECCOMP:
        snprintf(text, size,
                 "a seccomp filter refuses the call (the default of Docker 25 and later, "
                 "containerd and Kubernetes). Fix: %s io_uring_setup, io_uring_enter and "
                 "io_uring_register.",
                 seccomp_fix(facts->container));
        break;
    case IO_PROBE_MEMLOCK:
        snprintf(text, size,
                 "the limit of locked memory, RLIMIT_MEMLOCK, not a lack of RAM: %u rings need "
                 "%llu KiB, the limit is %llu KiB and all processes of this user share it. Fix: "
                 "%s; or fewer --shards.",
                 facts->ring_count, (unsigned long long)(facts->memlock_need + KIB - 1) / KIB,
                 (unsigned long long)facts->memlock_limit / KIB, memlock_fix(facts->container));
        break;
    case IO_PROBE_DESCRIPTORS:
        snprintf(text, size, "%s. Fix: %s.",
                 facts->error == ENFILE ? "the system's table of open files is full"
                                        : "the limit of open files, RLIMIT_NOFILE",
                 facts->error == ENFILE
                     ? "`sysctl -w fs.file-max=2097152` as root"
                     : "`LimitNOFILE=1048576` in the systemd unit, or `ulimit -n 1048576`");
        break;
    case IO_PROBE_KERNEL_OLD:
        snprintf(text, size,
                 "the kernel is %u.%u and 6.1 is the oldest that has what weir needs. Fix: run on "
                 "Linux 6.1 or later (Debian 12 has 6.1).",
                 facts->kernel_major, facts->kernel_minor);
        break;
    case IO_PROBE_KERNEL_WITHOUT:
        snprintf(text, size,
                 "this kernel (%u.%u) has no io_uring: built without CONFIG_IO_URING, or a sandbox "
                 "such as gVisor stands in for it. Fix: use a kernel with CONFIG_IO_URING=y, or "
                 "leave the sandbox.",
                 facts->kernel_major, facts->kernel_minor);
        break;
    case IO_PROBE_UNKNOWN:
        snprintf(text, size, "%s.", unknown_hint(facts->error));
        break;
    }
}

void io_probe_diagnose(const struct io_probe_facts *facts, struct io_probe *ret_probe)
{
    struct io_probe probe = {.facts = *facts};
    const char *name;
    size_t used;

    assert(facts->error >= 0);
    assert((facts->error == 0) == (facts->step == IO_PROBE_DONE));
    probe.cause = choose(facts);
    if (probe.cause == IO_PROBE_USABLE) {
        snprintf(probe.text, sizeof(probe.text), "io_uring works: kernel %u.%u, %u rings.",
                 facts->kernel_major, facts->kernel_minor, facts->ring_count);
    } else {
        name = strerrorname_np(facts->error);
        snprintf(probe.text, sizeof(probe.text),
                 "io_uring is not usable: %s failed with %s. Cause: ", step_name(facts->step),
                 name != NULL ? name : "an unknown error");
        used = strlen(probe.text);
        explain(facts, probe.cause, probe.text + used, sizeof(probe.text) - used);
    }
    *ret_probe = probe;
}

int io_probe_run(const struct io_uring_config *config, uint32_t ring_count,
                 struct io_probe *ret_probe)
{
    struct io_probe_facts facts = {.ring_count = ring_count,
                                   .memlock_need = ring_count * io_uring_memlock_need(config)};
    int r;

    assert(ring_count > 0);
    assert(ring_count <= IO_PROBE_RING_COUNT_MAX);
    r = try_small_ring(&facts.step);
    if (r >= 0) {
        facts.step = IO_PROBE_RINGS;
        r = try_all_rings(config, ring_count);
    }
    if (r >= 0)
        facts.step = IO_PROBE_DONE;
    facts.error = r < 0 ? -r : 0;
    gather(&facts);
    io_probe_diagnose(&facts, ret_probe);
    return r < 0 ? r : 0;
}

bool io_probe_may_fall_back(const struct io_probe *probe)
{
    switch (probe->facts.error) {
    case ENOSYS:
    case EPERM:
    case EACCES:
    case EINVAL:
        return true;
    default:
        return false;
    }
}

const char *io_probe_cause_name(enum io_probe_cause cause)
{
    switch (cause) {
    case IO_PROBE_USABLE:
        return "usable";
    case IO_PROBE_SYSCTL:
        return "sysctl";
    case IO_PROBE_SECCOMP:
        return "seccomp";
    case IO_PROBE_MEMLOCK:
        return "memlock";
    case IO_PROBE_DESCRIPTORS:
        return "descriptors";
    case IO_PROBE_KERNEL_OLD:
        return "kernel_old";
    case IO_PROBE_KERNEL_WITHOUT:
        return "kernel_without";
    case IO_PROBE_UNKNOWN:
        break;
    }
    return "unknown";
}
