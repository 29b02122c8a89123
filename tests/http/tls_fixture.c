#include "tests/http/tls_fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <unistd.h>

static const char CERTIFICATE[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBMDCB16ADAgECAgEBMAoGCCqGSM49BAMCMBQxEjAQBgNVBAMMCXdlaXIudGVz\n"
    "dDAgFw0wMDAxMDEwMDAwMDBaGA8yMTAwMDEwMTAwMDAwMFowFDESMBAGA1UEAwwJ\n"
    "d2Vpci50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAESdofxQbX1x7MbIin\n"
    "iX3FnCOePGrOHjiERkO2WC2lq6Eihf/knkVwOJzycVu7dgQEgoBYbYEpwmif0eLi\n"
    "yydnGqMYMBYwFAYDVR0RBA0wC4IJd2Vpci50ZXN0MAoGCCqGSM49BAMCA0gAMEUC\n"
    "ICKSkOEiUf+VFBfdwStbNA6Rv939XXc1coBqCNs4gVeCAiEA+Cm15lvTNzrBkGhO\n"
    "SLWIAjIGcXiHuk1O+4jpHv9IIog=\n"
    "-----END CERTIFICATE-----\n";

static const char SENTENCE[] = "weir: a key for tests";

void tls_fixture_texts(char certificate[TLS_FIXTURE_TEXT_SIZE], char key[TLS_FIXTURE_TEXT_SIZE])
{
    unsigned char number[br_sha256_SIZE], der[512];
    br_ec_private_key private = {.curve = BR_EC_secp256r1, .x = number, .xlen = sizeof(number)};
    br_sha256_context hash;
    size_t size;

    br_sha256_init(&hash);
    br_sha256_update(&hash, SENTENCE, strlen(SENTENCE));
    br_sha256_out(&hash, number);
    size = br_encode_ec_pkcs8_der(der, &private, NULL);
    assert(size <= sizeof(der));
    assert(br_pem_encode(NULL, der, size, BR_ENCODE_PEM_PKCS8, 0) < TLS_FIXTURE_TEXT_SIZE);
    (void)br_pem_encode(key, der, size, BR_ENCODE_PEM_PKCS8, 0);
    memcpy(certificate, CERTIFICATE, sizeof(CERTIFICATE));
}

static void write_file(char *path, const char *text)
{
    int fd = mkstemp(path);

    cr_assert(ge(int, fd, 0));
    cr_assert(eq(sz, (size_t)write(fd, text, strlen(text)), strlen(text)));
    close(fd);
}

struct tls_identity *tls_fixture_identity(void)
{
    char certificate_path[] = "/tmp/weir-certificate-XXXXXX", key_path[] = "/tmp/weir-key-XXXXXX";
    char certificate[TLS_FIXTURE_TEXT_SIZE], key[TLS_FIXTURE_TEXT_SIZE], text[256] = "";
    struct tls_identity *identity;
    int r;

    tls_fixture_texts(certificate, key);
    write_file(certificate_path, certificate);
    write_file(key_path, key);
    r = tls_identity_load(certificate_path, key_path, &identity, text, sizeof(text));
    unlink(certificate_path);
    unlink(key_path);
    cr_assert(eq(int, r, 0), "%s", text);
    return identity;
}

const struct trust_store *tls_fixture_trust(void)
{
    static struct trust_store *trust;
    char path[] = "/tmp/weir-trust-XXXXXX";

    if (trust != NULL)
        return trust;
    write_file(path, CERTIFICATE);
    cr_assert(eq(int, trust_store_new(&trust), 0));
    cr_assert(eq(int, trust_store_add_file(trust, path), 1));
    unlink(path);
    return trust;
}
