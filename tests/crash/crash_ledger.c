#include "tests/crash/crash_ledger.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The recorder reads the ids of the client's choice in the answer as it leaves the server,
 * which is the earliest moment at which anybody could rely on it; for ids of the server's
 * choice the client notes the acknowledgement when it has the answer. Whoever is first
 * counts. The mutex of the write log guards the ledger as well.
 */
static const char ID_PREFIX[] = "\"00000000-0000-4000-8000-";

void crash_ledger_begin_round(struct crash_ledger *ledger, struct write_log *log,
                              const bool *is_there)
{
    ledger->log = log;
    ledger->round_first = ledger->event_count;
    for (uint32_t i = 0; i < ledger->event_count; i++) {
        /* What a start has given out is durable: it counts as acknowledged from the beginning. */
        ledger->events[i].sent = is_there[i] ? 0 : WRITE_LOG_NONE;
        ledger->events[i].acknowledged = is_there[i] ? 0 : WRITE_LOG_NONE;
    }
}

uint32_t crash_ledger_send(struct crash_ledger *ledger, uint32_t client, uint32_t count,
                           uint32_t padding_size)
{
    uint32_t sent = write_log_mark(ledger->log);
    uint32_t first;

    assert(count > 0);
    assert(padding_size <= CRASH_PADDING_SIZE_MAX);
    pthread_mutex_lock(&ledger->log->mutex);
    first = ledger->event_count;
    assert(first + count <= CRASH_EVENT_COUNT_MAX);
    ledger->event_count += count;
    for (uint32_t i = first; i < first + count; i++)
        ledger->events[i] = (struct crash_event){.sent = sent,
                                                 .acknowledged = WRITE_LOG_NONE,
                                                 .first = first,
                                                 .last = first + count - 1,
                                                 .client = client,
                                                 .padding_size = padding_size};
    pthread_mutex_unlock(&ledger->log->mutex);
    return first;
}

void crash_ledger_acknowledge(struct crash_ledger *ledger, uint32_t number)
{
    uint32_t entry = write_log_mark(ledger->log);

    pthread_mutex_lock(&ledger->log->mutex);
    assert(number < ledger->event_count);
    if (ledger->events[number].acknowledged == WRITE_LOG_NONE)
        ledger->events[number].acknowledged = entry;
    pthread_mutex_unlock(&ledger->log->mutex);
}

void crash_ledger_read_answer(struct crash_ledger *ledger, const char *data, uint32_t size)
{
    static const char accepted[] = "HTTP/1.1 202";
    const char *end = data + size;
    const char *at = data;

    if (size < sizeof(accepted) || memcmp(data, accepted, sizeof(accepted) - 1) != 0)
        return;
    while ((at = memmem(at, (size_t)(end - at), ID_PREFIX, sizeof(ID_PREFIX) - 1)) != NULL) {
        at += sizeof(ID_PREFIX) - 1;
        crash_ledger_acknowledge(ledger, (uint32_t)strtoul(at, NULL, 16));
    }
}

bool crash_ledger_is_acknowledged(struct crash_ledger *ledger, uint32_t number)
{
    bool is_acknowledged;

    pthread_mutex_lock(&ledger->log->mutex);
    is_acknowledged = ledger->events[number].acknowledged != WRITE_LOG_NONE;
    pthread_mutex_unlock(&ledger->log->mutex);
    return is_acknowledged;
}

void crash_ledger_write_id(uint32_t number, char ret_id[CRASH_ID_SIZE + 1])
{
    snprintf(ret_id, CRASH_ID_SIZE + 1, "%s%012x", ID_PREFIX + 1, number);
}

const char *crash_ledger_padding(void)
{
    static char padding[CRASH_PADDING_SIZE_MAX + 1];

    /* Main asks first, before there are other threads. */
    if (padding[0] == '\0')
        memset(padding, 'x', CRASH_PADDING_SIZE_MAX);
    return padding;
}
