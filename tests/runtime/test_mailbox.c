#include "runtime/mailbox.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

#include "runtime/message.h"

static struct mailbox mailbox;
static struct message first, second, third, urgent;

static void setup(void)
{
    mailbox_init(&mailbox, 2);
    urgent.flags = MESSAGE_SYSTEM;
}

static enum mailbox_result push(struct message *msg)
{
    return mailbox_push(&mailbox, &msg);
}

TestSuite(mailbox, .init = setup, .timeout = 5);

Test(mailbox, gives_messages_in_the_order_they_came)
{
    cr_assert(eq(int, push(&first), MAILBOX_OK));
    cr_assert(eq(int, push(&second), MAILBOX_OK));
    cr_expect(eq(ptr, mailbox_pop(&mailbox), &first));
    cr_assert(eq(int, push(&third), MAILBOX_OK));
    cr_expect(eq(ptr, mailbox_pop(&mailbox), &second));
    cr_expect(eq(ptr, mailbox_pop(&mailbox), &third));
    cr_expect(eq(ptr, mailbox_pop(&mailbox), NULL));
    cr_expect(eq(u32, mailbox_count(&mailbox), 0));
}

Test(mailbox, nulls_the_pointer_of_a_message_it_took)
{
    struct message *msg = &first;

    cr_assert(eq(int, mailbox_push(&mailbox, &msg), MAILBOX_OK));
    cr_expect(eq(ptr, msg, NULL));
}

Test(mailbox, leaves_the_message_with_the_caller_when_full)
{
    struct message *refused = &third;

    cr_assert(eq(int, push(&first), MAILBOX_OK));
    cr_assert(eq(int, push(&second), MAILBOX_OK));
    cr_expect(eq(int, mailbox_push(&mailbox, &refused), MAILBOX_FULL));
    cr_expect(eq(ptr, refused, &third));
    cr_expect(eq(ptr, mailbox_pop(&mailbox), &first));
}

Test(mailbox, takes_system_messages_when_full_and_gives_them_first)
{
    cr_assert(eq(int, push(&first), MAILBOX_OK));
    cr_assert(eq(int, push(&second), MAILBOX_OK));
    cr_assert(eq(int, push(&urgent), MAILBOX_OK));
    cr_expect(eq(u32, mailbox_count(&mailbox), 3));
    cr_expect(eq(ptr, mailbox_pop(&mailbox), &urgent));
    cr_expect(eq(ptr, mailbox_pop(&mailbox), &first));
}

Test(mailbox, bounds_system_messages_too)
{
    static struct message many[MAILBOX_SYSTEM_MAX];

    for (uint32_t i = 0; i < MAILBOX_SYSTEM_MAX; i++) {
        many[i].flags = MESSAGE_SYSTEM;
        cr_assert(eq(int, push(&many[i]), MAILBOX_OK));
    }
    cr_expect(eq(int, push(&urgent), MAILBOX_FULL));
}

Test(mailbox, puts_a_message_back_in_front_even_when_full)
{
    struct message *msg = &third;

    cr_assert(eq(int, push(&first), MAILBOX_OK));
    cr_assert(eq(int, push(&second), MAILBOX_OK));
    mailbox_push_front(&mailbox, &msg);
    cr_expect(eq(ptr, msg, NULL));
    cr_expect(eq(ptr, mailbox_pop(&mailbox), &third));
    cr_expect(eq(ptr, mailbox_pop(&mailbox), &first));
}

Test(mailbox, appends_behind_a_message_that_was_put_back_into_an_empty_queue)
{
    struct message *msg = &first;

    mailbox_push_front(&mailbox, &msg);
    cr_assert(eq(int, push(&second), MAILBOX_OK));
    cr_expect(eq(ptr, mailbox_pop(&mailbox), &first));
    cr_expect(eq(ptr, mailbox_pop(&mailbox), &second));
}

Test(mailbox, refuses_everything_once_closed_but_gives_what_waits)
{
    struct message *refused = &second;

    cr_assert(eq(int, push(&first), MAILBOX_OK));
    mailbox_close(&mailbox);
    cr_expect(eq(int, mailbox_push(&mailbox, &refused), MAILBOX_CLOSED));
    cr_expect(eq(ptr, refused, &second));
    cr_expect(eq(int, push(&urgent), MAILBOX_CLOSED));
    cr_expect(eq(ptr, mailbox_pop(&mailbox), &first));
}

Test(mailbox, aborts_on_a_message_that_is_already_queued, .signal = SIGABRT)
{
    cr_assert(eq(int, push(&first), MAILBOX_OK));
    cr_assert(eq(int, push(&second), MAILBOX_OK));
    (void)push(&first);
}

Test(mailbox, aborts_when_it_would_have_no_room_at_all, .signal = SIGABRT)
{
    mailbox_init(&mailbox, 0);
}
