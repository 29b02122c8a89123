#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/sha256.h"

TestSuite(sha256, .timeout = 5);

Test(sha256, hashes_the_known_texts)
{
    static const struct {
        const char *text;
        const char *hex;
    } CASES[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"dev-api-key-12345", "8264dc9f07e749d9c2ffead0b25de8cb22bed7af774e189ef224ae015908776b"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char hex[SHA256_HEX_SIZE];

        sha256_hex(slice_of(CASES[i].text), hex);
        cr_expect(slice_equal((struct slice){hex, sizeof(hex)}, slice_of(CASES[i].hex)), "%s",
                  CASES[i].text);
    }
}
