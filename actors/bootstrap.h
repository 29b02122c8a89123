/*
 * Bootstrap: the blocking parts of a start, before and beside the shards.
 *
 * Opens the data directory and its secrets, and reads the journal back into the
 * tables of all shards. Boot thread only; the shards do not look at those tables
 * until they are handed over.
 */
#pragma once

#include "actors/app.h"

/* Locks the data directory, reads or makes superblock and admin token. Results as app_new(). */
MUST_USE int bootstrap_open(struct app *app, const struct app_config *config, char *text,
                            int *ret_exit_code);
