/*
 * Sim census: what is in the log of a server that is down, item by item.
 *
 * The log is read by the product's own recovery, which is what a user's next start would
 * see. What nobody ever sent, or what is stored under a wrong id, for another project or
 * with other bytes, ends the run through the story.
 */
#pragma once

#include "tools/sim/sim_model.h"
#include "tools/sim/sim_server.h"
#include "tools/sim/sim_story.h"

enum {
    SIM_ID_SIZE = 36,
    SIM_TENANT_COUNT = 2,
    SIM_SERIES_COUNT_MAX = 32,
};

/* Where one item was found in the log. */
struct sim_found {
    uint32_t count;
    uint32_t group;    /* of the latest copy: its record group, counted over the whole log */
    uint32_t position; /* in the order of recovery */
    uint32_t log;
    uint32_t boot_generation;
    uint32_t variant;
    struct journal_location location;
    uint32_t size; /* of the record's payload */
};

/* What the log says about one series of errors; the clients' events all have the same time. */
struct sim_series {
    uint64_t key[2];
    uint32_t event_count; /* that count, the late ones left out */
    bool is_blurred;      /* the server's clock jumped: they count in minutes of its own */
    uint32_t incident_count;
};

/* One look at the log. Large. Set the first group; the rest is of the latest look. */
struct sim_census {
    const struct sim_server *server;
    const struct sim_model *model;
    struct sim_story *story;
    const char *orgs[SIM_TENANT_COUNT];
    const char *projects[SIM_TENANT_COUNT];
    uint32_t shared_count; /* numbers below twice this share their ids across tenants */

    uint32_t found_count; /* events */
    uint32_t life_count;  /* of these, of the latest life */
    uint32_t group_count;
    uint32_t log_count; /* logs that the data directory ever had */
    uint64_t log_hash;  /* of all records */
    struct sim_series series[SIM_SERIES_COUNT_MAX];
    uint32_t series_count;
    uint32_t incident_count;    /* records */
    uint32_t summary_job_count; /* JOB records of what incidents ask for */
    struct sim_found found[SIM_ITEM_COUNT_MAX];
};

/* The event id that number has in every run. */
void sim_census_write_id(const struct sim_census *census, uint32_t number,
                         char id[SIM_ID_SIZE + 1]);

/* The byte at index of the filler that the event number carries. */
char sim_census_filler(uint32_t number, uint32_t index);

/*
 * Reads the log; read_only leaves it as it is, else recovery does what a start would do. 0,
 * or what recovery said, text (RECOVERY_TEXT_SIZE bytes) telling more. A directory that is
 * not there is empty.
 */
MUST_USE int sim_census_read(struct sim_census *census, bool read_only, char *text);
