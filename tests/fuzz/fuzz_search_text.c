/*
 * Whatever is typed into a search: its terms are parts of it without quotes, and what the
 * text index is asked for is never an error.
 */
#include "contracts/search_text.h"
#include "contracts/utf8.h"
#include "store/sqlite_queries_internals.h"
#include "store/sqlite_stemmer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sqlite_stemmer stemmer;
static sqlite3_stmt *statement;

static const char SCHEMA[] =
    "CREATE VIRTUAL TABLE t USING fts5(scope, message,"
    " tokenize = 'porter unicode61 remove_diacritics 2');"
    "INSERT INTO t VALUES ('p1', 'payment timed out'), ('p2', 'a b c \xc3\xa9')";

static void open_index(void)
{
    sqlite3 *db = NULL;
    int code = sqlite3_open(":memory:", &db);

    if (code == SQLITE_OK)
        code = sqlite_stemmer_install(&stemmer, db);
    if (code == SQLITE_OK)
        code = sqlite3_exec(db, SCHEMA, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(db,
                                  "SELECT scope, highlight(t, 1, '<', '>') FROM t WHERE t MATCH ?1",
                                  -1, &statement, NULL);
    assert(code == SQLITE_OK);
}

static bool is_well_formed(struct slice text)
{
    for (size_t i = 0; i < text.size;) {
        int size = utf8_sequence(text.data + i, text.size - i);

        if (size <= 0)
            return false;
        i += (size_t)size;
    }
    return true;
}

static void check_terms(struct slice text, const struct search_term *terms, uint32_t count)
{
    const char *end = text.data;

    for (uint32_t i = 0; i < count; i++) {
        assert(terms[i].text.size > 0);
        assert(terms[i].text.data >= end);
        end = terms[i].text.data + terms[i].text.size;
        assert(end <= text.data + text.size);
        assert(memchr(terms[i].text.data, '"', terms[i].text.size) == NULL);
        assert(memchr(terms[i].text.data, '\0', terms[i].text.size) == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct search_term terms[SEARCH_TERM_COUNT_MAX];
    char match[SQLITE_MATCH_SIZE_MAX];
    struct slice text = {(const char *)data, size};
    uint32_t count;
    size_t match_size;
    int code;

    if (size > SEARCH_TEXT_SIZE_MAX || !is_well_formed(text))
        return 0;
    if (statement == NULL)
        open_index();
    count = search_text_read(text, terms);
    check_terms(text, terms, count > SEARCH_TERM_COUNT_MAX ? SEARCH_TERM_COUNT_MAX : count);
    if (count == 0 || count > SEARCH_TERM_COUNT_MAX)
        return 0;
    match_size = sqlite_search_match(1, terms, count, match);
    sqlite3_bind_text(statement, 1, match, (int)match_size, SQLITE_STATIC);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        assert(strcmp((const char *)sqlite3_column_text(statement, 0), "p1") == 0);
    assert(code == SQLITE_DONE);
    sqlite3_reset(statement);
    return 0;
}
