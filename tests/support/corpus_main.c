/*
 * Corpus main: runs one fuzz target over every file of its corpus, so that what
 * a fuzzer once found is checked by the ordinary test run.
 *
 * Usage: corpus_<noun> DIRECTORY. Each input is copied to the end of a page that
 * is followed by a PROT_NONE page: reading one byte too far is a crash.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_guarded(const uint8_t *input, size_t size)
{
    size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
    size_t mapped_size = round_up_u64(size + 1, page_size) + page_size;
    uint8_t *pages =
        mmap(NULL, mapped_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *start = pages + mapped_size - page_size - size;
    int r;

    assert(pages != MAP_FAILED);
    r = mprotect(pages + mapped_size - page_size, page_size, PROT_NONE);
    assert(r == 0);
    if (size > 0)
        memcpy(start, input, size);
    LLVMFuzzerTestOneInput(start, size);
    munmap(pages, mapped_size);
}

static size_t run_file(const char *path)
{
    struct stat status;
    uint8_t *input;
    ssize_t size;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    input = malloc((size_t)status.st_size + 1);
    assert(input != NULL);
    size = read(fd, input, (size_t)status.st_size);
    assert(size == status.st_size);
    close(fd);
    run_guarded(input, (size_t)size);
    free(input);
    return 1;
}

int main(int argc, char **argv)
{
    char path[PATH_MAX];
    struct dirent *entry;
    size_t file_count = 0;
    DIR *directory;

    if (argc != 2 || (directory = opendir(argv[1])) == NULL) {
        fprintf(stderr, "usage: %s CORPUS_DIRECTORY\n", argv[0]);
        return 2;
    }
    while ((entry = readdir(directory)) != NULL) {
        snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
        file_count += run_file(path);
    }
    closedir(directory);
    printf("%zu inputs ran\n", file_count);
    return file_count > 0 ? 0 : 1;
}
