/*
 * Looking for `"name":` in the text is enough, because the simulated clients choose every
 * string that comes back to them: none contains a quote, and no name occurs at two depths
 * of an answer with different meanings.
 */
#include "tools/sim/sim_answer.h"

#include <stdio.h>
#include <stdlib.h>

bool sim_answer_has(const struct sim_http_request *answer, const char *text)
{
    return !answer->lost && memmem(answer->body, answer->body_size, text, strlen(text)) != NULL;
}

enum sim_reply sim_answer_reply(const struct sim_http_request *answer)
{
    if (answer->lost)
        return SIM_REPLY_LOST;
    switch (answer->status) {
    case 200:
    case 201:
    case 202:
    case 204:
        return SIM_REPLY_ACCEPTED;
    case 401:
        return SIM_REPLY_UNAUTHORIZED;
    case 404:
        return SIM_REPLY_NOT_FOUND;
    case 409:
        return sim_answer_has(answer, "\"in_flight\"") ? SIM_REPLY_IN_FLIGHT : SIM_REPLY_CONFLICT;
    case 408:
    case 429:
        return SIM_REPLY_UNAVAILABLE;
    case 503:
        return sim_answer_has(answer, "\"outcome\":\"unknown\"") ? SIM_REPLY_UNKNOWN
                                                                 : SIM_REPLY_UNAVAILABLE;
    default:
        return answer->status >= 400 && answer->status < 500 ? SIM_REPLY_BAD : SIM_REPLY_STRANGE;
    }
}

/* What follows "name": after *offset, up to the end of the answer; *offset is where it begins. */
static struct slice find_member(const struct sim_http_request *answer, const char *name,
                                uint32_t *offset)
{
    const char *begin;
    char wanted[64];
    int size = snprintf(wanted, sizeof(wanted), "\"%s\":", name);

    if (answer->lost || *offset > answer->body_size)
        return (struct slice){NULL, 0};
    begin = memmem(answer->body + *offset, answer->body_size - *offset, wanted, (size_t)size);
    if (begin == NULL)
        return (struct slice){NULL, 0};
    begin += size;
    *offset = (uint32_t)(begin - answer->body);
    return (struct slice){begin, answer->body_size - *offset};
}

struct slice sim_answer_value(const struct sim_http_request *answer, const char *name,
                              uint32_t *offset)
{
    uint32_t at = *offset;
    struct slice rest;
    const char *end;

    for (;;) {
        rest = find_member(answer, name, &at);
        if (rest.size == 0)
            return (struct slice){NULL, 0};
        if (rest.data[0] == '"')
            break;
    }
    end = memchr(rest.data + 1, '"', rest.size - 1);
    if (end == NULL)
        return (struct slice){NULL, 0};
    *offset = (uint32_t)(end - answer->body);
    return (struct slice){rest.data + 1, (size_t)(end - rest.data - 1)};
}

uint64_t sim_answer_number(const struct sim_http_request *answer, const char *name,
                           uint32_t *offset, uint64_t otherwise)
{
    struct slice rest = find_member(answer, name, offset);
    char digits[24] = "";
    size_t size = 0;

    if (rest.size > 0 && rest.data[0] == '"')
        rest = (struct slice){rest.data + 1, rest.size - 1};
    while (size < rest.size && size + 1 < sizeof(digits) && rest.data[size] >= '0' &&
           rest.data[size] <= '9') {
        digits[size] = rest.data[size];
        size++;
    }
    return size > 0 ? strtoull(digits, NULL, 10) : otherwise;
}

void sim_answer_describe(const struct sim_http_request *answer, char *text, size_t size)
{
    uint32_t offset = 0;
    struct slice code;

    if (answer->lost) {
        snprintf(text, size, "nothing: the connection is gone");
        return;
    }
    code = sim_answer_value(answer, "code", &offset);
    snprintf(text, size, "%u%s%.*s", answer->status, code.size > 0 ? " " : "",
             (int)min_u64(code.size, 40), code.size > 0 ? code.data : "");
}
