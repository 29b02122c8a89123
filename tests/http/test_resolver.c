#include "http/resolver.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

/* Look-ups rest here until the test settles them, or are settled at once. */
enum { NAME_COUNT = 4, LOOKUP_COUNT_MAX = 64 };

struct fake {
    struct resolver_backend backend;
    bool at_once;
    uint32_t count;
    struct resolver_name *names[LOOKUP_COUNT_MAX];
    char texts[LOOKUP_COUNT_MAX][RESOLVER_NAME_SIZE_MAX + 1];
};

struct asker {
    struct resolver_query query;
    uint32_t answer_count;
    enum resolver_status status;
    uint32_t address_count;
    struct address addresses[RESOLVER_ADDRESS_COUNT_MAX];
    const char *asks_next; /* in its callback */
};

static const uint8_t KEY[SIPHASH_KEY_SIZE] = {1};
static struct clock now = {.mono_ns = 1000000000};
static struct fake fake;
static struct resolver resolver;
static struct asker askers[8];

static const struct address ADDRESS = {
    .as.ip4 = {.sin_family = AF_INET, .sin_addr.s_addr = 0x01020304}};

static void settle(uint32_t index, enum resolver_status status, uint32_t address_count,
                   uint64_t ttl_ms)
{
    struct address addresses[RESOLVER_ADDRESS_COUNT_MAX * 2];

    for (uint32_t i = 0; i < address_count; i++)
        addresses[i] = address_with_port(&ADDRESS, (uint16_t)(i + 1));
    resolver_settle(fake.names[index], status, addresses, address_count, ttl_ms);
}

static void lookup(struct resolver_backend *backend, struct resolver_name *name, const char *text)
{
    struct fake *f = container_of(backend, struct fake, backend);

    f->names[f->count] = name;
    memcpy(f->texts[f->count], text, strlen(text) + 1);
    f->count++;
    if (f->at_once)
        settle(f->count - 1, RESOLVER_FOUND, 1, 60000);
}

static bool ask(struct asker *asker, const char *name, struct resolver_answer *answer);

static void on_answer(struct resolver_query *query, const struct resolver_answer *answer)
{
    struct asker *asker = container_of(query, struct asker, query);
    struct resolver_answer next;

    asker->answer_count++;
    asker->status = answer->status;
    asker->address_count = answer->address_count;
    if (asker->asks_next != NULL && !ask(asker, asker->asks_next, &next))
        asker->asks_next = NULL;
    for (uint32_t i = 0; i < answer->address_count; i++)
        asker->addresses[i] = answer->addresses[i];
}

static bool ask(struct asker *asker, const char *name, struct resolver_answer *answer)
{
    asker->query.on_answer = on_answer;
    return resolver_find(&resolver, &asker->query, slice_of(name), answer);
}

static bool is_known(const char *name)
{
    struct resolver_answer answer = {.status = RESOLVER_FAILED};

    return ask(&askers[7], name, &answer) && answer.status == RESOLVER_FOUND;
}

static void begin(void)
{
    fake.backend.lookup = lookup;
    cr_assert(eq(int, resolver_init(&resolver, NAME_COUNT, &fake.backend, &now, KEY), 0));
}

static void end(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(askers); i++)
        resolver_cancel(&askers[i].query);
    resolver_deinit(&resolver);
}

TestSuite(resolver, .init = begin, .fini = end);

Test(resolver, lets_all_who_ask_for_one_name_share_a_look_up)
{
    struct resolver_answer answer;

    cr_assert(not(ask(&askers[0], "Example.COM", &answer)));
    cr_assert(not(ask(&askers[1], "example.com", &answer)));
    cr_assert(eq(u32, fake.count, 1));
    cr_assert(eq(str, fake.texts[0], "example.com"));
    settle(0, RESOLVER_FOUND, 2, 60000);
    for (int i = 0; i < 2; i++) {
        cr_assert(eq(u32, askers[i].answer_count, 1));
        cr_assert(eq(int, askers[i].status, RESOLVER_FOUND));
        cr_assert(eq(u32, askers[i].address_count, 2));
        cr_assert(eq(u16, address_port(&askers[i].addresses[1]), 2));
    }
}

Test(resolver, answers_at_once_until_the_answer_is_too_old)
{
    struct resolver_answer answer;

    fake.at_once = true;
    cr_assert(is_known("a"));
    now.mono_ns += UINT64_C(59999) * 1000000;
    cr_assert(is_known("a"));
    cr_assert(eq(u32, fake.count, 1));
    cr_assert(eq(u64, resolver.hit_count, 1));
    now.mono_ns += 1000000;
    fake.at_once = false;
    cr_assert(not(ask(&askers[0], "a", &answer)));
    cr_assert(eq(u32, fake.count, 2));
}

Test(resolver, keeps_an_answer_neither_too_short_nor_too_long)
{
    struct resolver_answer answer;

    cr_assert(not(ask(&askers[0], "short", &answer)));
    settle(0, RESOLVER_FOUND, 1, 0);
    cr_assert(is_known("short"));
    cr_assert(not(ask(&askers[0], "long", &answer)));
    settle(1, RESOLVER_FOUND, 1, UINT64_MAX);
    now.mono_ns += UINT64_C(1000000) * RESOLVER_TTL_MS_MAX;
    cr_assert(not(ask(&askers[0], "long", &answer)));
}

Test(resolver, remembers_for_a_while_that_there_is_no_such_name)
{
    struct resolver_answer answer;

    cr_assert(not(ask(&askers[0], "none", &answer)));
    settle(0, RESOLVER_NOT_FOUND, 0, 1000000);
    cr_assert(eq(int, askers[0].status, RESOLVER_NOT_FOUND));
    cr_assert(ask(&askers[0], "none", &answer));
    cr_assert(eq(int, answer.status, RESOLVER_NOT_FOUND));
    now.mono_ns += UINT64_C(1000000) * RESOLVER_TTL_MS_NOT_FOUND;
    cr_assert(not(ask(&askers[0], "none", &answer)));
    settle(1, RESOLVER_FAILED, 0, 1000000);
    now.mono_ns += UINT64_C(1000000) * RESOLVER_TTL_MS_FAILED;
    cr_assert(not(ask(&askers[0], "none", &answer)));
}

Test(resolver, takes_a_name_without_addresses_for_none)
{
    struct resolver_answer answer;

    cr_assert(not(ask(&askers[0], "empty", &answer)));
    settle(0, RESOLVER_FOUND, 0, 60000);
    cr_assert(eq(int, askers[0].status, RESOLVER_NOT_FOUND));
}

Test(resolver, leaves_out_addresses_beyond_its_bound)
{
    struct resolver_answer answer;

    cr_assert(not(ask(&askers[0], "many", &answer)));
    settle(0, RESOLVER_FOUND, RESOLVER_ADDRESS_COUNT_MAX * 2, 60000);
    cr_assert(eq(u32, askers[0].address_count, RESOLVER_ADDRESS_COUNT_MAX));
}

Test(resolver, tells_nobody_who_has_cancelled)
{
    struct resolver_answer answer;

    cr_assert(not(ask(&askers[0], "a", &answer)));
    cr_assert(not(ask(&askers[1], "a", &answer)));
    resolver_cancel(&askers[0].query);
    resolver_cancel(&askers[0].query);
    settle(0, RESOLVER_FOUND, 1, 60000);
    cr_assert(eq(u32, askers[0].answer_count, 0));
    cr_assert(eq(u32, askers[1].answer_count, 1));
}

Test(resolver, forgets_the_name_asked_for_least_recently)
{
    fake.at_once = true;
    cr_assert(is_known("a"));
    cr_assert(is_known("b"));
    cr_assert(is_known("c"));
    cr_assert(is_known("d"));
    cr_assert(is_known("a"));
    cr_assert(is_known("e"));
    cr_assert(eq(u32, fake.count, 5));
    cr_assert(is_known("a"));
    cr_assert(eq(u32, fake.count, 5));
    cr_assert(is_known("b"));
    cr_assert(eq(u32, fake.count, 6));
}

Test(resolver, says_when_it_cannot_look_up_more_at_once)
{
    struct resolver_answer answer;

    cr_assert(not(ask(&askers[0], "a", &answer)));
    cr_assert(not(ask(&askers[1], "b", &answer)));
    cr_assert(not(ask(&askers[2], "c", &answer)));
    cr_assert(not(ask(&askers[3], "d", &answer)));
    cr_assert(ask(&askers[4], "e", &answer));
    cr_assert(eq(int, answer.status, RESOLVER_FULL));
    settle(1, RESOLVER_FOUND, 1, 60000);
    cr_assert(not(ask(&askers[4], "e", &answer)));
}

Test(resolver, does_not_remember_that_there_was_no_room)
{
    struct resolver_answer answer;

    cr_assert(not(ask(&askers[0], "a", &answer)));
    settle(0, RESOLVER_FULL, 0, 60000);
    cr_assert(eq(int, askers[0].status, RESOLVER_FULL));
    cr_assert(not(ask(&askers[0], "a", &answer)));
    cr_assert(eq(u32, fake.count, 2));
}

Test(resolver, may_be_asked_again_by_who_is_told)
{
    struct resolver_answer answer;

    cr_assert(not(ask(&askers[0], "a", &answer)));
    cr_assert(not(ask(&askers[1], "a", &answer)));
    askers[0].asks_next = "a";
    settle(0, RESOLVER_FULL, 0, 0);
    cr_assert(eq(u32, askers[0].answer_count, 1));
    cr_assert(eq(u32, askers[1].answer_count, 1));
    cr_assert(eq(u32, fake.count, 2));
    settle(1, RESOLVER_FOUND, 1, 60000);
    cr_assert(eq(u32, askers[0].answer_count, 2));
    cr_assert(eq(u32, askers[1].answer_count, 1));
}

Test(resolver, keeps_its_answer_in_order_while_who_is_told_pushes_the_name_out)
{
    struct resolver_answer answer;

    cr_assert(not(ask(&askers[0], "a", &answer)));
    cr_assert(not(ask(&askers[1], "b", &answer)));
    cr_assert(not(ask(&askers[2], "c", &answer)));
    cr_assert(not(ask(&askers[3], "d", &answer)));
    askers[0].asks_next = "e"; /* the only place is that of "a" itself */
    settle(0, RESOLVER_FOUND, 3, 60000);
    cr_assert(eq(str, fake.texts[4], "e"));
    cr_assert(eq(u32, askers[0].address_count, 3));
    cr_assert(eq(u16, address_port(&askers[0].addresses[2]), 3));
}

Test(resolver, does_not_look_up_what_cannot_be_a_name)
{
    char longest[RESOLVER_NAME_SIZE_MAX + 2];
    struct resolver_answer answer;

    memset(longest, 'a', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    cr_assert(ask(&askers[0], longest, &answer));
    cr_assert(eq(int, answer.status, RESOLVER_NOT_FOUND));
    cr_assert(ask(&askers[0], "", &answer));
    cr_assert(ask(&askers[0], "a b", &answer));
    cr_assert(ask(&askers[0], "a%00", &answer));
    cr_assert(eq(u32, fake.count, 0));
    longest[RESOLVER_NAME_SIZE_MAX] = '\0';
    cr_assert(not(ask(&askers[0], longest, &answer)));
    cr_assert(eq(str, fake.texts[0], longest));
}

Test(resolver, finds_nothing_without_anybody_who_looks)
{
    struct resolver alone;
    struct resolver_query query = {.on_answer = on_answer};
    struct resolver_answer answer;

    cr_assert(eq(int, resolver_init(&alone, 1, NULL, &now, KEY), 0));
    cr_assert(resolver_find(&alone, &query, SLICE_LITERAL("a"), &answer));
    cr_assert(eq(int, answer.status, RESOLVER_NOT_FOUND));
    resolver_deinit(&alone);
}
