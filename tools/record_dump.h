/*
 * Record dump: one journal record as one JSON object, for `weir journal dump`.
 *
 *     {"log":0,"lsn":7,"partition":12,"type":"event","received_at":...,"event":{...}}
 *     {...,"type":"claim","received_at":...,"key":...,"project_id":...,"events":[...]}
 *     {...,"type":"key","received_at":...,"id":...,"prefix":...,"scopes":[...],...}
 *
 * Secrets stay where they are: of an API key neither text nor hash is written. Pure.
 */
#pragma once

#include "contracts/json_writer.h"
#include "store/segment.h"

/* Enough for what record_dump_write() writes of a record with such a payload. */
MUST_USE size_t record_dump_size_max(size_t payload_size);

/* "event", "claim" ...; "unknown" for a type of a later version. Static. */
struct slice record_dump_type(const struct journal_record_view *record);

/*
 * Writes the record as one object. What this version does not understand is written
 * with its type number and size, and without its contents. Borrows record for the call.
 */
void record_dump_write(const struct journal_record_view *record, struct json_writer *writer);
