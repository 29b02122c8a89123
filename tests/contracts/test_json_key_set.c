#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/json_key_set.h"

static struct json_key_set set;
static char texts[JSON_KEY_SET_COUNT_MAX + 1][8];

static struct json_value key_of(const char *quoted)
{
    struct json_reader reader;
    struct json_value value = {0};
    enum json_result result = json_read_document(slice_of(quoted), 1, &reader, &value);

    assert(result == JSON_OK);
    return value;
}

static struct json_value numbered_key(int number)
{
    snprintf(texts[number], sizeof(texts[number]), "\"k%d\"", number);
    return key_of(texts[number]);
}

TestSuite(json_key_set, .timeout = 5);

Test(json_key_set, recognises_a_name_in_another_spelling)
{
    struct json_value plain = key_of("\"a/b\"");
    struct json_value escaped = key_of("\"\\u0061\\/b\"");
    struct json_value other = key_of("\"a/B\"");

    json_key_set_init(&set);
    cr_expect(eq(int, json_key_set_add(&set, &plain), JSON_KEY_NEW));
    cr_expect(eq(int, json_key_set_add(&set, &other), JSON_KEY_NEW));
    cr_expect(eq(int, json_key_set_add(&set, &escaped), JSON_KEY_REPEATED));
}

Test(json_key_set, still_knows_its_names_when_full)
{
    struct json_value first;
    struct json_value extra;

    json_key_set_init(&set);
    for (int i = 0; i < JSON_KEY_SET_COUNT_MAX; i++) {
        struct json_value key = numbered_key(i);

        cr_assert(eq(int, json_key_set_add(&set, &key), JSON_KEY_NEW));
    }
    first = numbered_key(0);
    extra = numbered_key(JSON_KEY_SET_COUNT_MAX);
    cr_expect(eq(int, json_key_set_add(&set, &first), JSON_KEY_REPEATED));
    cr_expect(eq(int, json_key_set_add(&set, &extra), JSON_KEY_SET_FULL));
}
