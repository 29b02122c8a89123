/*
 * Read fixture: a log with events in it and a read model of it, on a simulated host.
 *
 * Events have numbers; number n is in the log once it was settled, and must be in the read model
 * exactly once after it was followed to the end, whatever happened in between.
 */
#pragma once

#include "store/read_writer.h"
#include "store/sqlite_disk_vfs.h"
#include "tests/store/journal_fixture.h"

enum {
    READ_FIXTURE_EVENTS_MAX = 20000,
    READ_FIXTURE_DUMP_SIZE = 8 << 20,
};

/* One test's. Fields may be read, settings of log.config changed before read_fixture_open(). */
struct read_fixture {
    struct fixture log;
    struct journal_append appends[READ_FIXTURE_EVENTS_MAX];
    uint32_t event_count;   /* appended */
    uint32_t durable_count; /* of them */
    struct sqlite_disk_vfs *vfs;
    struct read_backend *backend;
    struct read_writer writer;
    bool has_writer;
    uint64_t retain_ms;
    char text[READ_MODEL_TEXT_SIZE];
};

/* A world with a host and an open, empty log. */
void read_fixture_begin(struct read_fixture *fixture, uint64_t seed);

/* Frees all. */
void read_fixture_end(struct read_fixture *fixture);

/* Appends events of the next count numbers, each a group, and waits until they are durable. */
void read_fixture_add(struct read_fixture *fixture, uint32_t count);

/* Opens the read model and tells it what is durable. 0 or -errno. */
int read_fixture_open(struct read_fixture *fixture);

/* Closes it, as a process that ends or one that dies does. */
void read_fixture_close(struct read_fixture *fixture);

/* Follows the log until there is nothing more to do, or it failed. */
enum read_step read_fixture_follow(struct read_fixture *fixture);

/* The host loses power, or the process is killed; log and read model are closed, the log reopened.
 */
void read_fixture_crash(struct read_fixture *fixture, bool kill);

/* All rows of all tables in the order of their keys, as text. The caller frees it. */
char *read_fixture_dump(struct read_fixture *fixture);

/* A number that SQL asks the open read model for. */
int64_t read_fixture_number(struct read_fixture *fixture, const char *sql);

/* Writes the payload of event number's record; returns its size. */
size_t read_fixture_event(uint32_t number, char *buffer, size_t capacity);
