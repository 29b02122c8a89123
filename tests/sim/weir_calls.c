#include "tests/sim/weir_calls.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

void weir_make_key(struct weir_client *client, const char *org, const char *project,
                   const char *scopes, char ret_key[TENANT_SECRET_SIZE_MAX])
{
    struct weir_call call = {.path = "/v1/admin/keys", .key = WEIR_ADMIN_TOKEN_TEXT};
    uint32_t offset = 0;
    char body[256];

    snprintf(body, sizeof(body), "{\"org_id\":\"%s\",\"project_id\":\"%s\",\"scopes\":[%s]}", org,
             project, scopes);
    cr_assert(eq(u32, weir_ask(client, &call, body), 201));
    cr_assert(
        weir_answer_string(&client->request, "key", &offset, ret_key, TENANT_SECRET_SIZE_MAX));
}

void weir_enqueue(struct weir_client *client, const char *key, const char *body,
                  char ret_id[WEIR_ID_SIZE + 1])
{
    struct weir_call call = {.path = "/v1/jobs", .key = key};
    uint32_t offset = 0;

    cr_assert(eq(u32, weir_ask(client, &call, body), 202), "%.*s", (int)client->request.body_size,
              client->request.body);
    cr_assert(weir_answer_string(&client->request, "id", &offset, ret_id, WEIR_ID_SIZE + 1));
}

void weir_cancel_job(struct weir_client *client, const char *id)
{
    struct weir_call call = {0};
    char path[64];

    snprintf(path, sizeof(path), "/v1/jobs/%s/cancel", id);
    call.path = path;
    cr_assert(eq(u32, weir_ask(client, &call, ""), 200));
}

void weir_look_at_job(struct weir_client *client, const char *key, const char *id)
{
    struct weir_call call = {.method = "GET", .key = key};
    char path[64];

    snprintf(path, sizeof(path), "/v1/jobs/%s", id);
    call.path = path;
    cr_assert(eq(u32, weir_ask(client, &call, ""), 200));
}

void weir_expect_job(struct weir_client *client, const char *id, const char *text)
{
    weir_look_at_job(client, NULL, id);
    cr_assert(weir_answer_has(&client->request, text), "%s is not in %.*s", text,
              (int)client->request.body_size, client->request.body);
}

void weir_send_filler(struct weir_client *client, const char *event_type, uint32_t number)
{
    struct weir_call call = {.path = "/v1/events"};
    char event[4096], filler[3000];

    memset(filler, 'x', sizeof(filler) - 1);
    filler[sizeof(filler) - 1] = '\0';
    snprintf(event, sizeof(event),
             "{\"event_type\":\"%s\",\"occurred_at\":\"2025-01-01T00:00:00Z\","
             "\"message\":\"number %u.\",\"attributes\":{\"filler\":\"%s\"}}",
             event_type, number, filler);
    cr_assert(eq(u32, weir_ask(client, &call, event), 202), "%s", client->answer);
}
