/*
 * Weir calls: what many tests ask the server for, each asserting that it gets it.
 *
 * The client is one that was initialised without an on_answer; the answer stays in
 * client->request, as after weir_ask().
 */
#pragma once

#include "tests/sim/weir_fixture.h"

/* Makes an API key of this project with these scopes: "\"ingest\",\"read\"". */
void weir_make_key(struct weir_client *client, const char *org, const char *project,
                   const char *scopes, char ret_key[TENANT_SECRET_SIZE_MAX]);

/* Enqueues the job of this body and gives its id. key NULL: the demo's. */
void weir_enqueue(struct weir_client *client, const char *key, const char *body,
                  char ret_id[WEIR_ID_SIZE + 1]);

/* Cancels a job of the demo's. */
void weir_cancel_job(struct weir_client *client, const char *id);

/* Asks for a job. */
void weir_look_at_job(struct weir_client *client, const char *key, const char *id);

/* The same with the demo's key; asserts that the answer contains text. */
void weir_expect_job(struct weir_client *client, const char *id, const char *text);

/*
 * Stores an event of this type with 3 kB of nothing, with the demo's key: what fills the log, so
 * that it lets go of its oldest segments.
 */
void weir_send_filler(struct weir_client *client, const char *event_type, uint32_t number);
