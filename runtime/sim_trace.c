#include "runtime/sim_trace.h"

#include <inttypes.h>

/*
 * The hash must see every byte and be cheap: whole segments go through it at each crash.
 * It need not be the same on machines of another byte order, and no one can attack it.
 */

enum { LINE_SIZE_MAX = 192, LANE_COUNT = 4 };

/* A multiplication spreads each word over the high half, the shift brings it down again. */
static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
    return hash ^ (hash >> 29);
}

uint64_t sim_hash(const void *data, size_t size)
{
    const char *next = data;
    uint64_t hash = mix(0, size);

    assert(data != NULL || size == 0);
    if (size >= LANE_COUNT * sizeof(uint64_t)) {
        uint64_t lanes[LANE_COUNT] = {1, 2, 3, 4};

        /* A lane need not wait for the others: most bytes hashed are whole segments. */
        for (; size >= sizeof(lanes); size -= sizeof(lanes)) {
            uint64_t words[LANE_COUNT];

            memcpy(words, next, sizeof(words));
            for (uint32_t i = 0; i < LANE_COUNT; i++)
                lanes[i] = mix(lanes[i], words[i]);
            next += sizeof(words);
        }
        for (uint32_t i = 0; i < LANE_COUNT; i++)
            hash = mix(hash, lanes[i]);
    }
    for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t)) {
        uint64_t word;

        memcpy(&word, next, sizeof(word));
        hash = mix(hash, word);
        next += sizeof(word);
    }
    if (size > 0) {
        uint64_t word = 0;

        memcpy(&word, next, size);
        hash = mix(hash, word);
    }
    return hash;
}

void sim_trace_init(struct sim_trace *trace)
{
    *trace = (struct sim_trace){.hash = 0x5eed};
}

static void write_line(const struct sim_trace *trace, const struct sim_trace_entry *entry)
{
    char line[LINE_SIZE_MAX];
    int size;

    size = snprintf(line, sizeof(line),
                    "%" PRIu64 ".%09" PRIu64 " %s/%" PRIu32 " %s fd=%" PRId32 " value=%" PRId64
                    " detail=%016" PRIx64 "\n",
                    entry->mono_ns / 1000000000U, entry->mono_ns % 1000000000U, entry->host,
                    entry->io_index, entry->what, entry->fd, entry->value, entry->detail);
    assert(size > 0);
    /* A trace is for reading: a full disk must not end the run that it describes. */
    if (fwrite(line, 1, min_u64((uint64_t)size, sizeof(line) - 1), trace->file) == 0)
        clearerr(trace->file);
}

void sim_trace_add(struct sim_trace *trace, const struct sim_trace_entry *entry)
{
    uint64_t hash = trace->hash;

    assert(entry->what != NULL);
    assert(entry->host != NULL);
    hash = mix(hash, entry->mono_ns);
    hash = mix(hash, sim_hash(entry->what, strlen(entry->what)));
    hash = mix(hash, sim_hash(entry->host, strlen(entry->host)) + entry->io_index);
    hash = mix(hash, (uint64_t)(uint32_t)entry->fd);
    hash = mix(hash, (uint64_t)entry->value);
    hash = mix(hash, entry->detail);
    trace->hash = hash;
    trace->count++;
    if (trace->file != NULL)
        write_line(trace, entry);
}
