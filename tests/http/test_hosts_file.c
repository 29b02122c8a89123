#include "http/hosts_file.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct hosts_file *file;

static void load(const char *text)
{
    char path[] = "/tmp/weir-hosts-XXXXXX";
    int fd = mkstemp(path);
    ssize_t size = (ssize_t)strlen(text);

    cr_assert(ge(int, fd, 0));
    cr_assert(eq(i64, write(fd, text, (size_t)size), size));
    close(fd);
    cr_assert(eq(int, hosts_file_new(path, &file), 0));
    unlink(path);
}

static void end(void)
{
    hosts_file_free(&file);
}

TestSuite(hosts_file, .fini = end);

/* The addresses of name, one behind the other. */
static const char *find(const char *name)
{
    static char text[512];
    struct address addresses[8];
    uint32_t count = hosts_file_find(file, slice_of(name), addresses, ARRAY_COUNT(addresses));
    size_t size = 0;

    text[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        char one[ADDRESS_TEXT_SIZE];

        (void)address_format(&addresses[i], one);
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%s", i > 0 ? " " : "", one);
    }
    return text;
}

Test(hosts_file, knows_the_names_of_each_line)
{
    load("127.0.0.1\tlocalhost loopback\n"
         "# comment\n"
         "\n"
         "10.1.2.3   db.internal DB   # the database\n"
         "::1 localhost\r\n"
         "fd00::5 ip6");
    cr_assert(eq(str, (char *)find("localhost"), "127.0.0.1:0 [::1]:0"));
    cr_assert(eq(str, (char *)find("loopback"), "127.0.0.1:0"));
    cr_assert(eq(str, (char *)find("db"), "10.1.2.3:0"));
    cr_assert(eq(str, (char *)find("db.internal"), "10.1.2.3:0"));
    cr_assert(eq(str, (char *)find("ip6"), "[fd00::5]:0"));
    cr_assert(eq(str, (char *)find("comment"), ""));
    cr_assert(eq(str, (char *)find("the"), ""));
}

Test(hosts_file, passes_over_what_is_no_line)
{
    load("256.1.1.1 a\nnonsense b\n10.0.0.1\n fe80::1%lo c\n 10.0.0.2 d\n0x7f.1 e\n");
    cr_assert(eq(str, (char *)find("a"), ""));
    cr_assert(eq(str, (char *)find("b"), ""));
    cr_assert(eq(str, (char *)find("c"), ""));
    cr_assert(eq(str, (char *)find("d"), "10.0.0.2:0"));
    cr_assert(eq(str, (char *)find("e"), ""));
}

Test(hosts_file, is_empty_when_it_does_not_exist)
{
    cr_assert(eq(int, hosts_file_new("/nonexistent/hosts", &file), 0));
    cr_assert(eq(str, (char *)find("localhost"), ""));
}

Test(hosts_file, gives_no_more_addresses_than_asked_for)
{
    struct address addresses[2];

    load("10.0.0.1 x\n10.0.0.2 x\n10.0.0.3 x\n");
    cr_assert(eq(u32, hosts_file_find(file, SLICE_LITERAL("x"), addresses, 2), 2));
}

Test(hosts_file, has_a_bound_on_its_names)
{
    static char text[(HOSTS_FILE_ENTRY_COUNT_MAX + 10) * 20];
    size_t size = 0;

    for (int i = 0; i < HOSTS_FILE_ENTRY_COUNT_MAX + 10; i++)
        size += (size_t)snprintf(text + size, sizeof(text) - size, "10.0.0.1 n%d\n", i);
    load(text);
    cr_assert(eq(str, (char *)find("n1023"), "10.0.0.1:0"));
    cr_assert(eq(str, (char *)find("n1024"), ""));
}
