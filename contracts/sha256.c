#include "contracts/sha256.h"

#include <bearssl.h>

static_assert(br_sha256_SIZE == SHA256_SIZE, "the digest must fit");

void sha256(struct slice bytes, uint8_t ret_digest[SHA256_SIZE])
{
    br_sha256_context context;

    br_sha256_init(&context);
    br_sha256_update(&context, bytes.data, bytes.size);
    br_sha256_out(&context, ret_digest);
}

void sha256_hex(struct slice bytes, char ret_text[SHA256_HEX_SIZE])
{
    static const char HEX[] = "0123456789abcdef";
    uint8_t digest[SHA256_SIZE];

    sha256(bytes, digest);
    for (int i = 0; i < SHA256_SIZE; i++) {
        ret_text[2 * i] = HEX[digest[i] >> 4];
        ret_text[2 * i + 1] = HEX[digest[i] & 15];
    }
}
