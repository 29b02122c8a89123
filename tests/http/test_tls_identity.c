#include "http/tls_identity.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <unistd.h>

#include "tests/http/tls_fixture.h"

/* What operators may give us is in tests/e2e/test_tls.py, made by openssl. */
enum { TEXT_SIZE = 256 };

static char certificate[TLS_FIXTURE_TEXT_SIZE], key[TLS_FIXTURE_TEXT_SIZE];
static char directory[] = "/tmp/weir-identity-XXXXXX";
static char certificate_path[64], key_path[64], text[TEXT_SIZE];

static void setup(void)
{
    cr_assert(ne(ptr, mkdtemp(directory), NULL));
    snprintf(certificate_path, sizeof(certificate_path), "%s/certificate", directory);
    snprintf(key_path, sizeof(key_path), "%s/key", directory);
    tls_fixture_texts(certificate, key);
}

static void teardown(void)
{
    unlink(certificate_path);
    unlink(key_path);
    rmdir(directory);
}

TestSuite(tls_identity, .init = setup, .fini = teardown, .timeout = 60);

static void write_file(const char *path, const char *data, size_t size)
{
    FILE *stream = fopen(path, "w");

    cr_assert(ne(ptr, stream, NULL));
    cr_assert(eq(sz, fwrite(data, 1, size, stream), size));
    fclose(stream);
}

/* Loads the files as they are; result as tls_identity_load(). */
static int load(struct tls_identity **identity)
{
    *identity = NULL;
    text[0] = '\0';
    return tls_identity_load(certificate_path, key_path, identity, text, sizeof(text));
}

Test(tls_identity, is_read_from_two_files)
{
    struct tls_identity *identity;

    write_file(certificate_path, certificate, strlen(certificate));
    write_file(key_path, key, strlen(key));
    cr_assert(eq(int, load(&identity), 0), "%s", text);
    cr_assert(eq(u32, identity->certificate_count, 1));
    cr_assert(eq(int, identity->key_type, BR_KEYTYPE_EC));
    cr_assert(eq(u64, identity->not_before_ms, UINT64_C(946684800000)));
    cr_assert(eq(u64, identity->not_after_ms, UINT64_C(4102444800000)));
    tls_identity_unref(&identity);
    cr_assert(eq(ptr, identity, NULL));
}

Test(tls_identity, has_copies_that_outlive_it)
{
    struct tls_identity *identity = tls_fixture_identity();
    struct tls_identity *copy;
    unsigned char number[32];

    memcpy(number, identity->ec.x, sizeof(number));
    cr_assert(eq(int, tls_identity_copy(identity, &copy), 0));
    cr_assert(eq(ptr, tls_identity_ref(identity), identity));
    tls_identity_unref(&identity);
    cr_assert(eq(ptr, identity, NULL));
    cr_assert(eq(ptr, copy->ec.x, copy->key_data + (copy->ec.x - copy->key_data)));
    cr_assert(ge(ptr, (void *)copy->ec.x, (void *)copy));
    cr_assert(lt(ptr, (void *)copy->ec.x, (void *)(copy + 1)));
    cr_assert(ge(ptr, (void *)copy->certificates[0].data, (void *)copy));
    cr_assert(lt(ptr, (void *)copy->certificates[0].data, (void *)(copy + 1)));
    cr_assert(eq(int, memcmp(copy->ec.x, number, sizeof(number)), 0));
    tls_identity_unref(&copy);
}

Test(tls_identity, tells_which_file_is_missing)
{
    struct tls_identity *identity;

    cr_assert(eq(int, load(&identity), -ENOENT));
    cr_assert(ne(ptr, strstr(text, certificate_path), NULL), "%s", text);
    write_file(certificate_path, certificate, strlen(certificate));
    cr_assert(eq(int, load(&identity), -ENOENT));
    cr_assert(ne(ptr, strstr(text, key_path), NULL), "%s", text);
    cr_assert(eq(ptr, identity, NULL));
}

Test(tls_identity, refuses_a_certificate_cut_anywhere)
{
    struct tls_identity *identity;
    size_t size = strlen(certificate);

    write_file(key_path, key, strlen(key));
    for (size_t cut = 0; cut < size - 1; cut++) {
        write_file(certificate_path, certificate, cut);
        cr_assert(lt(int, load(&identity), 0), "cut at %zu", cut);
        cr_assert(ne(ptr, strstr(text, certificate_path), NULL), "%s", text);
    }
}

Test(tls_identity, refuses_a_key_cut_anywhere)
{
    struct tls_identity *identity;
    size_t size = strlen(key);

    write_file(certificate_path, certificate, strlen(certificate));
    for (size_t cut = 0; cut < size - 1; cut++) {
        write_file(key_path, key, cut);
        cr_assert(lt(int, load(&identity), 0), "cut at %zu", cut);
        cr_assert(ne(ptr, strstr(text, key_path), NULL), "%s", text);
    }
}

/* Whatever is changed, it is refused with a reason or is good: nothing worse. */
Test(tls_identity, survives_files_that_are_damaged)
{
    struct tls_identity *identity;
    size_t size = strlen(certificate);
    uint32_t refused_count = 0;

    write_file(key_path, key, strlen(key));
    for (size_t at = 0; at < size; at++) {
        char damaged[TLS_FIXTURE_TEXT_SIZE];

        memcpy(damaged, certificate, size);
        damaged[at] = damaged[at] == 'A' ? 'B' : 'A';
        write_file(certificate_path, damaged, size);
        if (load(&identity) < 0) {
            cr_assert(ne(sz, strlen(text), 0));
            refused_count++;
        }
        tls_identity_unref(&identity);
    }
    cr_assert(lt(u32, 100, refused_count));
}
