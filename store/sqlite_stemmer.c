#include "store/sqlite_stemmer.h"

/*
 * One instance has two of SQLite's: the stemmer and, with the same arguments but the first,
 * the tokenizer below it. Of a beginning of several words, such as "timed ou", all but the
 * last are whole words; so the last one is found first, what is before it goes to the one,
 * and the rest to the other. Offsets are those of the whole text only in texts, where nothing
 * is a beginning; in a question nobody looks at them.
 */

struct instance {
    const struct sqlite_stemmer *stemmer;
    Fts5Tokenizer *stemming;
    Fts5Tokenizer *plain;
};

typedef int token_call(void *context, int flags, const char *token, int size, int begin, int end);

/* Where the last word begins. */
struct last_word {
    int begin;
    int count;
};

static int note_word(void *context, int flags, const char *token, int size, int begin, int end)
{
    struct last_word *last = context;

    (void)flags, (void)token, (void)size, (void)end;
    last->begin = begin;
    last->count++;
    return SQLITE_OK;
}

static void delete_instance(Fts5Tokenizer *tokenizer)
{
    struct instance *self = (struct instance *)(void *)tokenizer;

    if (self->stemming != NULL)
        self->stemmer->stemming.xDelete(self->stemming);
    if (self->plain != NULL)
        self->stemmer->plain.xDelete(self->plain);
    sqlite3_free(self);
}

static int create_instance(void *context, const char **arguments, int count,
                           Fts5Tokenizer **ret_tokenizer)
{
    const struct sqlite_stemmer *stemmer = context;
    struct instance *self = sqlite3_malloc(sizeof(*self));
    bool is_upon_plain = count > 0 && strcmp(arguments[0], "unicode61") == 0;
    int code;

    if (self == NULL)
        return SQLITE_NOMEM;
    *self = (struct instance){.stemmer = stemmer};
    code = stemmer->stemming.xCreate(stemmer->stemming_context, arguments, count, &self->stemming);
    if (code == SQLITE_OK)
        code = stemmer->plain.xCreate(stemmer->plain_context, arguments + is_upon_plain,
                                      is_upon_plain ? count - 1 : 0, &self->plain);
    if (code != SQLITE_OK) {
        delete_instance((Fts5Tokenizer *)(void *)self);
        return code;
    }
    *ret_tokenizer = (Fts5Tokenizer *)(void *)self;
    return SQLITE_OK;
}

static int tokenize(Fts5Tokenizer *tokenizer, void *context, int flags, const char *text, int size,
                    token_call *on_token)
{
    struct instance *self = (struct instance *)(void *)tokenizer;
    const struct sqlite_stemmer *stemmer = self->stemmer;
    struct last_word last = {0, 0};
    int code;

    if ((flags & FTS5_TOKENIZE_PREFIX) == 0)
        return stemmer->stemming.xTokenize(self->stemming, context, flags, text, size, on_token);
    code = stemmer->plain.xTokenize(self->plain, &last, flags, text, size, note_word);
    if (code == SQLITE_OK && last.count > 1)
        code =
            stemmer->stemming.xTokenize(self->stemming, context, flags, text, last.begin, on_token);
    if (code == SQLITE_OK && last.count > 0)
        code = stemmer->plain.xTokenize(self->plain, context, flags, text + last.begin,
                                        size - last.begin, on_token);
    return code;
}

/* The connection's side of FTS5; NULL when it cannot be had. */
static fts5_api *find_api(sqlite3 *db)
{
    sqlite3_stmt *statement = NULL;
    fts5_api *api = NULL;

    if (sqlite3_prepare_v2(db, "SELECT fts5(?1)", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_pointer(statement, 1, (void *)&api, "fts5_api_ptr", NULL) == SQLITE_OK)
        sqlite3_step(statement);
    sqlite3_finalize(statement);
    return api;
}

int sqlite_stemmer_install(struct sqlite_stemmer *stemmer, sqlite3 *db)
{
    fts5_tokenizer ours = {create_instance, delete_instance, tokenize};
    fts5_api *api = find_api(db);
    int code;

    if (api == NULL)
        return SQLITE_ERROR;
    code = api->xFindTokenizer(api, "porter", &stemmer->stemming_context, &stemmer->stemming);
    if (code == SQLITE_OK)
        code = api->xFindTokenizer(api, "unicode61", &stemmer->plain_context, &stemmer->plain);
    if (code == SQLITE_OK)
        code = api->xCreateTokenizer(api, "porter", stemmer, &ours, NULL);
    return code;
}
