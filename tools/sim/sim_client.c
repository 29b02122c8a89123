#include "tools/sim/sim_client.h"

/*
 * What a request's body holds follows from its items' numbers alone: whoever sends it
 * again sends the same bytes, and whoever reads the log knows what must be there.
 */

enum {
    BAD_LINE_EVERY = 8, /* one partial batch in so many has a bad event at its end */
    TWIN_EVERY = 16,    /* one batch in so many has its first event twice */
};

static uint32_t write_event(const struct sim_client *client, const struct sim_check *check,
                            uint32_t number, char *data, size_t size)
{
    const struct sim_item *item = &check->model->items[number];
    char id_member[SIM_ID_SIZE + 20] = "";
    uint32_t used;

    if (item->kind == SIM_ITEM_NAMED) {
        char id[SIM_ID_SIZE + 1];

        sim_census_write_id(&check->census, number, id);
        snprintf(id_member, sizeof(id_member), ",\"event_id\":\"%s\"", id);
    }
    used = (uint32_t)snprintf(data, size,
                              "{\"event_type\":\"error\",\"occurred_at\":\"2025-01-01T00:00:00Z\","
                              "\"message\":\"number %u.%u.\"%s,\"attributes\":{\"error_code\":"
                              "\"E%u\"}",
                              number, client->variant, id_member, number % 7);
    if (client->payload_size > 0) {
        used += (uint32_t)snprintf(data + used, size - used, ",\"payload\":{\"filler\":\"");
        assert(used + client->payload_size + 8 < size);
        for (uint32_t i = 0; i < client->payload_size; i++)
            data[used++] = sim_census_filler(number, i);
        used += (uint32_t)snprintf(data + used, size - used, "\"}");
    }
    used += (uint32_t)snprintf(data + used, size - used, "}");
    assert(used < size);
    return used;
}

void sim_client_write_items(struct sim_client *client, const struct sim_check *check)
{
    char *body = client->body;
    size_t size = sizeof(client->body);
    bool is_object = client->form == SIM_FORM_BATCH || client->form == SIM_FORM_PARTIAL;
    size_t used = 0;

    assert(client->count > 0);
    if (is_object)
        used += (size_t)snprintf(body, size, "{\"events\":[");
    for (uint32_t i = 0; i < client->count; i++) {
        used += write_event(client, check, client->number + i, body + used, size - used - 8);
        if (client->form == SIM_FORM_LINES)
            body[used++] = '\n';
        else if (i + 1 < client->count)
            body[used++] = ',';
    }
    /* What is more than the items depends on their number alone: a repetition is the same. */
    if (client->form == SIM_FORM_PARTIAL && client->number % BAD_LINE_EVERY == 0)
        used += (size_t)snprintf(body + used, size - used, ",{}");
    if (client->form == SIM_FORM_BATCH && client->number % TWIN_EVERY == 0) {
        body[used++] = ',';
        used += write_event(client, check, client->number, body + used, size - used - 8);
    }
    if (is_object)
        used += (size_t)snprintf(body + used, size - used, "]}");
    body[used] = '\0';
}

void sim_client_send(struct sim_client *client, const struct sim_call *call)
{
    char claim[64] = "";
    int size;

    if (call->idempotency_key != NULL)
        snprintf(claim, sizeof(claim), "idempotency-key: %s\r\n", call->idempotency_key);
    size = snprintf(client->data, sizeof(client->data),
                    "%s %s HTTP/1.1\r\nhost: sim\r\nx-api-key: %s\r\n%scontent-type: %s\r\n"
                    "content-length: %zu\r\n\r\n%s",
                    call->method != NULL ? call->method : "POST", call->path, call->key, claim,
                    call->content_type != NULL ? call->content_type : "application/json",
                    strlen(client->body), client->body);
    assert(size < (int)sizeof(client->data));
    client->request.data = client->data;
    client->request.size = (uint32_t)size;
    client->is_asking = true;
    client->attempt_count++;
    sim_http_client_submit(&client->http, &client->request);
}

bool sim_client_has(const struct sim_client *client, const char *text)
{
    return sim_answer_has(&client->request, text);
}

enum sim_reply sim_client_reply(const struct sim_client *client)
{
    return sim_answer_reply(&client->request);
}

struct slice sim_client_value(const struct sim_client *client, const char *name, uint32_t *offset)
{
    return sim_answer_value(&client->request, name, offset);
}

void sim_client_describe(const struct sim_client *client, char *text, size_t size)
{
    sim_answer_describe(&client->request, text, size);
}
