/*
 * SQLite stemmer: the text index's "porter", with beginnings of words left as they are.
 *
 * The index knows words by their stems: "payments" as "payment", "happy" as "happi". SQLite's
 * own stemmer does the same with the word before a *, although what was typed there is no word
 * yet: "pay*" would look for "pai". Under the same name, on our connections, whole words are
 * stemmed and a beginning is not. What is in the index is the same either way, so any sqlite3
 * can read it.
 */
#pragma once

#include <sqlite3.h>

#include "runtime/base.h"

/* Private to sqlite_stemmer.c; one per connection, embedded by value, which must not move. */
struct sqlite_stemmer {
    fts5_tokenizer stemming; /* SQLite's porter */
    fts5_tokenizer plain;    /* and what it is made upon */
    void *stemming_context;
    void *plain_context;
};

/* Takes the name over on this connection, before its first statement. One of SQLite's codes. */
MUST_USE int sqlite_stemmer_install(struct sqlite_stemmer *stemmer, sqlite3 *db);
