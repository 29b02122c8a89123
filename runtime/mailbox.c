#include "runtime/mailbox.h"

#include "runtime/message.h"

/*
 * Two singly linked queues through message->next; last is meaningful only while
 * first is not NULL. A message's flags say to which of the two it belongs, so a
 * message put back goes to the head of the queue it came from.
 */

static void queue_check(const struct mailbox_queue *queue)
{
    assert((queue->first == NULL) == (queue->count == 0));
    assert(queue->first == NULL || queue->last->next == NULL);
}

static void mailbox_check(const struct mailbox *mailbox)
{
    queue_check(&mailbox->system);
    queue_check(&mailbox->user);
}

static struct mailbox_queue *queue_of(struct mailbox *mailbox, const struct message *msg)
{
    return (msg->flags & MESSAGE_SYSTEM) != 0 ? &mailbox->system : &mailbox->user;
}

void mailbox_init(struct mailbox *mailbox, uint32_t user_count_max)
{
    assert(user_count_max > 0);
    *mailbox = (struct mailbox){
        .system = {.count_max = MAILBOX_SYSTEM_MAX},
        .user = {.count_max = user_count_max},
    };
}

enum mailbox_result mailbox_push(struct mailbox *mailbox, struct message **msg)
{
    struct mailbox_queue *queue = queue_of(mailbox, *msg);

    queue_check(queue);
    assert((*msg)->next == NULL);
    if (mailbox->closed)
        return MAILBOX_CLOSED;
    if (queue->count >= queue->count_max)
        return MAILBOX_FULL;
    if (queue->first == NULL)
        queue->first = *msg;
    else
        queue->last->next = *msg;
    queue->last = *msg;
    queue->count++;
    *msg = NULL;
    return MAILBOX_OK;
}

void mailbox_push_front(struct mailbox *mailbox, struct message **msg)
{
    struct mailbox_queue *queue = queue_of(mailbox, *msg);

    queue_check(queue);
    assert((*msg)->next == NULL);
    (*msg)->next = queue->first;
    if (queue->first == NULL)
        queue->last = *msg;
    queue->first = *msg;
    queue->count++;
    *msg = NULL;
}

struct message *mailbox_pop(struct mailbox *mailbox)
{
    struct mailbox_queue *queue = mailbox->system.first != NULL ? &mailbox->system : &mailbox->user;
    struct message *msg = queue->first;

    if (msg == NULL)
        return NULL;
    queue_check(queue);
    queue->first = msg->next;
    queue->count--;
    msg->next = NULL;
    return msg;
}

void mailbox_close(struct mailbox *mailbox)
{
    mailbox_check(mailbox);
    mailbox->closed = true;
}

uint32_t mailbox_count(const struct mailbox *mailbox)
{
    return mailbox->system.count + mailbox->user.count;
}
