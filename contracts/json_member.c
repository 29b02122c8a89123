#include "contracts/json_member.h"

void json_member_string(struct json_writer *writer, struct slice name, struct slice text)
{
    json_writer_key(writer, name);
    json_writer_string(writer, text);
}

void json_member_u64(struct json_writer *writer, struct slice name, uint64_t number)
{
    json_writer_key(writer, name);
    json_writer_u64(writer, number);
}

void json_member_boolean(struct json_writer *writer, struct slice name, bool value)
{
    json_writer_key(writer, name);
    json_writer_boolean(writer, value);
}

void json_member_time(struct json_writer *writer, struct slice name, int64_t unix_ms)
{
    json_writer_key(writer, name);
    json_writer_time(writer, unix_ms);
}

void json_member_time_or_null(struct json_writer *writer, struct slice name, int64_t unix_ms)
{
    json_writer_key(writer, name);
    if (unix_ms == 0)
        json_writer_null(writer);
    else
        json_writer_time(writer, unix_ms);
}
