/*
 * Migrations: the SQL that takes a read model from one version of its schema to the next.
 *
 * Made at build time from store/migrations/<number>_<name>.sql. Number n takes version n - 1 to
 * version n; an empty database is version 0. Released ones are never changed.
 */
#pragma once

#include "runtime/base.h"

/* One of them. */
struct migration {
    const char *name;
    const char *sql; /* statements, run in one transaction */
};

/* MIGRATIONS[n] leads to version n + 1. */
extern const struct migration MIGRATIONS[];
extern const uint32_t MIGRATION_COUNT;
