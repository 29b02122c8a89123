/*
 * Sim fault list: sets of fault groups as people write them.
 *
 *     all              every group            (what a run has by default)
 *     none             no fault at all
 *     disk,crash       only these
 *     all,-damage      every group but one
 *
 * Words count from left to right; a minus in front takes the group away again.
 */
#pragma once

#include "tools/sim/sim_weather.h"

enum { SIM_FAULT_LIST_SIZE_MAX = 128 };

/*
 * Reads a list into a bit set of enum sim_fault_group. False for a word that is
 * unknown or empty: *ret_bad then borrows it from text.
 */
MUST_USE bool sim_fault_list_parse(const char *text, uint32_t *ret_faults, struct slice *ret_bad);

/* Writes the shortest list that reads back as faults; text has SIM_FAULT_LIST_SIZE_MAX bytes. */
void sim_fault_list_write(uint32_t faults, char *text);

/* The names of the groups and of "all" and "none", for a hint: *ret_count of them. */
const char *const *sim_fault_list_words(size_t *ret_count);
