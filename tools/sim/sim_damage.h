/*
 * Sim damage: bytes that rot on a disk at rest, and the start that must refuse them.
 */
#pragma once

#include "tools/sim/sim_check.h"

/*
 * The server is down after an orderly stop, and its log has just been checked. Damages a
 * block that holds an acknowledged event, in each of several ways, and tries to start: that
 * must be refused with exit code 74, or else nothing but the last events may be missing. Then
 * puts the bytes back, damages one copy of the superblock, and starts: that must go well.
 * Returns how many damages were refused; a server that serves damage ends the run.
 */
uint32_t sim_damage_at_rest(struct sim_server *server, struct sim_check *check,
                            struct sim_story *story);
