/*
 * Sim call peer: the machine that jobs of the kind http.request are sent to.
 *
 * It has two addresses, each with a mood of its own that changes now and then:
 *
 *     WELL   answers; some requests are refused for good, asked to come later, or fail
 *     DOWN   answers 5xx, closes, or says nothing at all, until the mood changes
 *     CALM   (set by the caller, and stays) takes everything
 *
 * All that arrives and all that is answered is told to the model, which says whether it can be.
 */
#pragma once

#include "tools/sim/peer.h"
#include "tools/sim/sim_call_model.h"
#include "tools/sim/sim_driver.h"
#include "tools/sim/sim_story.h"

enum { SIM_CALL_PORT = 80 };

enum sim_call_mood {
    SIM_CALL_WELL,
    SIM_CALL_DOWN,
};

struct sim_call_peer;

/* One address. Private to sim_call_peer.c. */
struct sim_call_destination {
    struct sim_call_peer *machine;
    struct peer peer;
    enum sim_call_mood mood;
    struct sim_event mood_over;
};

/* Embedded by value; the first group may be read. */
struct sim_call_peer {
    struct sim_host *host;
    bool is_calm;        /* set by the caller: takes everything */
    bool sees_damage;    /* set by the caller: nothing is judged any more */
    uint64_t call_count; /* that arrived */

    struct sim_world *world;
    struct sim_driver *driver;
    struct sim_story *story;
    struct sim_call_model *model;
    struct io *io;
    uint64_t mood_ns_max;
    struct sim_call_destination destinations[SIM_CALL_DESTINATION_COUNT];
};

/* The number that a story knows an order by. */
uint32_t sim_call_number(uint32_t order);

/* The address of a destination, as in a URL. */
const char *sim_call_host(uint32_t destination);

/* Switches the machine on. Borrows all. */
void sim_call_peer_init(struct sim_call_peer *peer, struct sim_driver *driver,
                        struct sim_story *story, struct sim_call_model *model);

/* Takes it out of the world. */
void sim_call_peer_deinit(struct sim_call_peer *peer);
