/*
 * Search: events by their words and columns, the newest first or the most relevant first.
 *
 * The text index gives the rows that have the words in the order of their ids, many million
 * a second; what costs is looking at the row of each hit, about a microsecond. So the words
 * are counted first, and the plan chosen by what they are:
 *
 *     no words    along the index of times
 *     words       each hit's row is looked at and the page is picked out of them: a
 *                 microsecond or so for a hit
 *     or          along the index of times, asking the text index about one row after the
 *                 other: a fifth of a millisecond a row and word, but when every fifth row is a
 *                 hit a page is soon full
 *
 * Beginnings of words are never asked for row by row: each time all words that begin so would
 * be looked up.
 *
 * Events of one instant come in the order of their event ids, which is that of the index: a page
 * costs what its rows cost, even if a million events have the same second.
 *
 * What the first page found out (plan, total) goes along in the cursor, so the pages after it
 * cost what their rows cost, and a walk through all of them has one total.
 *
 * Relevance (BM25) looks at every hit. When there are more than RANKED_MAX the words are
 * too common to tell events apart: the newest come first then, and the answer says so.
 *
 * What was typed is made into an expression of the text index by search_text.h and the quotes
 * here: nothing but words and phrases is left of it, so it can neither be wrong nor reach
 * outside of its column or project.
 */
#include "contracts/search_text.h"
#include "store/sqlite_queries_internals.h"

enum {
    JOINED_MIN = 20000,    /* hits whose rows are all looked at without any further thought */
    HIT_NS = 1300,         /* what that costs for each of them */
    ROW_NS = 200000,       /* and what it costs to ask the text index about one row and word */
    RANKED_MAX = 200000,   /* hits that are compared by relevance */
    COUNTED_MAX = 1000000, /* hits: beyond that the total is a lower bound */
    FILTERED_MAX = 200000, /* the same, when their columns have to be looked at */
    PLAIN_MAX = 100000,    /* the same without words; then the counts per minute tell more */
    FACETED_MAX = 200000,
};

/* Of the fourth word of a cursor. */
enum { FLAG_RANKED = 1, FLAG_EXACT = 2, FLAG_WALKED = 4, FLAG_BITS = 3 };

/* Private use characters, which become marks when the text is written. */
#define MARK_BEGIN "\xee\x80\x80"
#define MARK_END "\xee\x80\x81"
enum { MARK_SIZE = 3 };

enum {
    PARAMETER_FROM = 2,
    PARAMETER_TO,
    PARAMETER_ENVIRONMENTS,
    PARAMETER_TYPES,
    PARAMETER_SEVERITIES,
    PARAMETER_MATCH,
    PARAMETER_PLACE, /* two of them */
    PARAMETER_LIMIT = PARAMETER_PLACE + 2,
};

#define FILTERS                                                                                    \
    " events.project_id = ?1 AND occurred_ms >= ?2"                                                \
    " AND (?4 = 0 OR (?4 >> environment) & 1) AND (?5 = 0 OR (?5 >> event_type) & 1)"              \
    " AND (?6 = 0 OR (?6 >> severity) & 1)"
#define BEFORE " AND occurred_ms < ?3"
/* It says "before" as well: a second bound of that kind might be the one that SQLite begins at. */
#define NEWEST_BEHIND " AND (occurred_ms, events.event_id) < (?8, ?9)"
#define NEWEST_FIRST " ORDER BY occurred_ms DESC, events.event_id DESC"
#define HITS " event_search CROSS JOIN events ON events.id = event_search.rowid"
#define SCORE "bm25(event_search, 0.0, 1.0)"

/* The page is picked by id first, so that nothing else of a row is carried through the sort. */
static const char SQL_PLAIN[] = "SELECT " EVENT_COLUMNS " FROM events INDEXED BY events_by_time"
                                " WHERE" FILTERS NEWEST_BEHIND NEWEST_FIRST " LIMIT ?10";
static const char SQL_WALK[] =
    "SELECT " EVENT_COLUMNS " FROM events INDEXED BY events_by_time WHERE" FILTERS NEWEST_BEHIND
    " AND EXISTS (SELECT 1 FROM event_search WHERE event_search MATCH ?7"
    " AND rowid = events.id)" NEWEST_FIRST " LIMIT ?10";
static const char SQL_JOIN[] =
    "SELECT " EVENT_COLUMNS " FROM (SELECT events.id AS hit FROM" HITS
    " WHERE event_search MATCH ?7 AND" FILTERS NEWEST_BEHIND NEWEST_FIRST " LIMIT ?10)"
    " CROSS JOIN events ON events.id = hit" NEWEST_FIRST;
static const char SQL_BEST[] =
    "SELECT " EVENT_COLUMNS ", score FROM (SELECT events.id AS hit, " SCORE " AS score FROM" HITS
    " WHERE event_search MATCH ?7 AND" FILTERS BEFORE " AND (" SCORE ", events.id) > (?8, ?9)"
    " ORDER BY " SCORE ", events.id LIMIT ?10)"
    " CROSS JOIN events ON events.id = hit ORDER BY score, events.id";

static const char SQL_COUNT_HITS[] = "SELECT count(*) FROM (SELECT 1 FROM event_search"
                                     " WHERE event_search MATCH ?7 LIMIT ?10)";
static const char SQL_COUNT_PLAIN[] =
    "SELECT count(*) FROM (SELECT 1 FROM events INDEXED BY events_by_time WHERE" FILTERS BEFORE
    " LIMIT ?10)";
static const char SQL_COUNT_MINUTES[] =
    "SELECT coalesce(sum(value), 0) FROM metric_minutes WHERE project_id = ?1"
    " AND minute_ms > ?2 - 60000 AND minute_ms < ?3"
    " AND (?4 = 0 OR (?4 >> environment) & 1) AND (?5 = 0 OR (?5 >> event_type) & 1)"
    " LIMIT ?10 + 1";
static const char SQL_COUNT_JOIN[] =
    "SELECT count(*) FROM (SELECT rowid AS hit FROM event_search WHERE event_search MATCH ?7"
    " ORDER BY rowid DESC LIMIT ?10) CROSS JOIN events ON events.id = hit WHERE" FILTERS BEFORE;
static const char SQL_FACETS_PLAIN[] =
    "SELECT environment, event_type, severity FROM events INDEXED BY events_by_time WHERE" FILTERS
        BEFORE " ORDER BY occurred_ms DESC LIMIT ?10";
static const char SQL_FACETS_JOIN[] =
    "SELECT environment, event_type, severity FROM (SELECT rowid AS hit FROM event_search"
    " WHERE event_search MATCH ?7 ORDER BY rowid DESC LIMIT ?10)"
    " CROSS JOIN events ON events.id = hit WHERE" FILTERS BEFORE;
static const char SQL_HIGHLIGHT[] =
    "SELECT highlight(event_search, 1, '" MARK_BEGIN "', '" MARK_END "') FROM event_search"
    " WHERE event_search MATCH ?2 AND rowid = ?1";

/* A search that runs. run must come first: the page's writer finds the rest behind it. */
struct search {
    struct sqlite_query run;
    bool has_text;
    bool is_ranked;
    bool total_is_exact;
    bool is_walked; /* along the index of times */
    bool has_prefix;
    uint32_t term_count;
    int64_t hits; /* rows that have the words */
    int64_t total;
    char match[SQLITE_MATCH_SIZE_MAX];
    size_t match_size;
};

/* --- what is asked ---------------------------------------------------------------- */

/* An expression being written. */
struct match {
    char *text;
    size_t size;
};

static void add_bytes(struct match *match, const char *data, size_t size)
{
    assert(match->size + size <= SQLITE_MATCH_SIZE_MAX);
    memcpy(match->text + match->size, data, size);
    match->size += size;
}

static void add_text(struct match *match, const char *text)
{
    add_bytes(match, text, strlen(text));
}

/* "word"; of a beginning ("word" * OR "word"): it may be a whole one, whose stem is shorter. */
static void add_term(struct match *match, const struct search_term *term)
{
    add_text(match, term->is_prefix ? "(\"" : "\"");
    add_bytes(match, term->text.data, term->text.size);
    add_text(match, "\"");
    if (!term->is_prefix)
        return;
    add_text(match, " * OR \"");
    add_bytes(match, term->text.data, term->text.size);
    add_text(match, "\")");
}

size_t sqlite_search_match(int64_t project, const struct search_term *terms, uint32_t count,
                           char text[SQLITE_MATCH_SIZE_MAX])
{
    int size = snprintf(text, SQLITE_MATCH_SIZE_MAX, "scope : \"p%lld\" AND message : (",
                        (long long)project);
    struct match match = {text, (size_t)size};

    assert(size > 0 && count > 0 && count <= SEARCH_TERM_COUNT_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            add_text(&match, " AND ");
        add_term(&match, &terms[i]);
    }
    add_text(&match, ")");
    return match.size;
}

static void build_match(struct search *search, const struct search_term *terms, uint32_t count)
{
    search->match_size = sqlite_search_match(search->run.project, terms, count, search->match);
    search->term_count = count;
    for (uint32_t i = 0; i < count; i++)
        search->has_prefix = search->has_prefix || terms[i].is_prefix;
}

/* A statement with all that it may have bound but place and limit. 0 or a negative errno. */
MUST_USE static int prepare(struct search *search, const char *sql, int64_t limit,
                            sqlite3_stmt **ret_statement)
{
    const struct read_search *asked = &search->run.query->search;
    sqlite3_stmt *statement;
    int r = sqlite_session_prepare(search->run.session, sql, &statement);
    int count;

    if (r < 0)
        return r;
    count = sqlite3_bind_parameter_count(statement);
    assert(count == PARAMETER_LIMIT);
    sqlite_bind_number(statement, 1, search->run.project);
    sqlite_bind_number(statement, PARAMETER_FROM, (int64_t)asked->from_ms);
    sqlite_bind_number(statement, PARAMETER_TO,
                       asked->to_ms == 0 ? INT64_MAX : (int64_t)asked->to_ms);
    sqlite_bind_number(statement, PARAMETER_ENVIRONMENTS, asked->environments);
    sqlite_bind_number(statement, PARAMETER_TYPES, asked->event_types);
    sqlite_bind_number(statement, PARAMETER_SEVERITIES, asked->severities);
    sqlite_bind_slice(statement, PARAMETER_MATCH,
                      (struct slice){search->match, search->match_size});
    sqlite_bind_number(statement, PARAMETER_LIMIT, limit);
    *ret_statement = statement;
    return 0;
}

/* The number that a statement of one row gives. 0 or a negative errno. */
MUST_USE static int count_rows(struct search *search, const char *sql, int64_t limit,
                               int64_t *ret_count)
{
    sqlite3_stmt *row;
    int r = prepare(search, sql, limit, &row);

    if (r < 0)
        return r;
    r = sqlite_step(row);
    if (r < 0)
        return r;
    assert(r == 1);
    *ret_count = sqlite_number(row, 0);
    sqlite_reset(row);
    return 0;
}

/* --- total and facets -------------------------------------------------------------- */

static bool has_filters(const struct read_search *asked)
{
    return asked->from_ms != 0 || asked->to_ms != 0 || asked->environments != 0 ||
           asked->event_types != 0 || asked->severities != 0;
}

/*
 * Without words there may be any number of rows. Beyond the bound the counts per minute say
 * how many, but for severities and parts of a minute: near enough, and said to be inexact.
 */
MUST_USE static int count_plain(struct search *search)
{
    int64_t counted = 0;
    int r = count_rows(search, SQL_COUNT_PLAIN, PLAIN_MAX, &search->total);

    search->total_is_exact = search->total < PLAIN_MAX;
    if (r < 0 || search->total_is_exact || search->run.query->search.severities != 0)
        return r;
    r = count_rows(search, SQL_COUNT_MINUTES, 0, &counted);
    if (counted > search->total)
        search->total = counted;
    return r;
}

/* Counts what is asked for, of which hits is known. 0 or a negative errno. */
MUST_USE static int count_total(struct search *search)
{
    int64_t bound = COUNTED_MAX;
    int r = 0;

    if (!search->has_text)
        return count_plain(search);
    search->total = search->hits;
    if (has_filters(&search->run.query->search)) {
        bound = FILTERED_MAX;
        r = count_rows(search, SQL_COUNT_JOIN, FILTERED_MAX, &search->total);
    }
    search->total_is_exact = search->hits < bound;
    return r;
}

static void write_total(struct search *search)
{
    struct json_writer *writer = &search->run.answer.writer;

    sqlite_write_number(writer, "total", search->total);
    json_writer_key(writer, SLICE_LITERAL("total_is_exact"));
    json_writer_boolean(writer, search->total_is_exact);
}

struct facets {
    uint64_t counted;
    uint64_t environments[EVENT_ENVIRONMENT_COUNT];
    uint64_t types[EVENT_TYPE_COUNT];
    uint64_t severities[EVENT_SEVERITY_COUNT];
};

static void count_one(uint64_t *counts, uint32_t size, int64_t number)
{
    if (number >= 0 && number < size) /* one of a later version has no name here */
        counts[number]++;
}

MUST_USE static int count_facets(struct search *search, struct facets *facets)
{
    sqlite3_stmt *row;
    int r =
        prepare(search, search->has_text ? SQL_FACETS_JOIN : SQL_FACETS_PLAIN, FACETED_MAX, &row);

    if (r < 0)
        return r;
    while ((r = sqlite_step(row)) == 1) {
        facets->counted++;
        count_one(facets->environments, EVENT_ENVIRONMENT_COUNT, sqlite_number(row, 0));
        count_one(facets->types, EVENT_TYPE_COUNT, sqlite_number(row, 1));
        count_one(facets->severities, EVENT_SEVERITY_COUNT, sqlite_number(row, 2));
    }
    return r;
}

MUST_USE static int write_facets(struct search *search)
{
    struct json_writer *writer = &search->run.answer.writer;
    struct facets facets = {0};
    int r = count_facets(search, &facets);

    if (r < 0)
        return r;
    json_writer_key(writer, SLICE_LITERAL("facets"));
    json_writer_begin_object(writer);
    json_writer_key(writer, SLICE_LITERAL("environment"));
    json_writer_begin_object(writer);
    for (uint32_t i = 0; i < EVENT_ENVIRONMENT_COUNT; i++) {
        json_writer_key(writer, event_environment_name((enum event_environment)i));
        json_writer_u64(writer, facets.environments[i]);
    }
    json_writer_end_object(writer);
    json_writer_key(writer, SLICE_LITERAL("event_type"));
    json_writer_begin_object(writer);
    for (uint32_t i = 0; i < EVENT_TYPE_COUNT; i++) {
        json_writer_key(writer, event_type_name((enum event_type)i));
        json_writer_u64(writer, facets.types[i]);
    }
    json_writer_end_object(writer);
    json_writer_key(writer, SLICE_LITERAL("severity"));
    json_writer_begin_object(writer);
    for (uint32_t i = 0; i < EVENT_SEVERITY_COUNT; i++) {
        json_writer_key(writer, event_severity_name((enum event_severity)i));
        json_writer_u64(writer, facets.severities[i]);
    }
    json_writer_end_object(writer);
    sqlite_write_number(writer, "counted", (int64_t)facets.counted);
    json_writer_end_object(writer);
    return 0;
}

/* --- rows -------------------------------------------------------------------------- */

/* What a byte or mark at text[at] is written as; its size in *ret_size. Empty: as it is. */
static struct slice replacement(struct slice text, size_t at, size_t *ret_size)
{
    static const struct slice begin = SLICE_INITIALIZER(MARK_BEGIN);

    *ret_size = 1;
    switch (text.data[at]) {
    case '&':
        return SLICE_LITERAL("&amp;");
    case '<':
        return SLICE_LITERAL("&lt;");
    case '>':
        return SLICE_LITERAL("&gt;");
    default:
        break;
    }
    if (text.size - at < MARK_SIZE || memcmp(text.data + at, MARK_BEGIN, MARK_SIZE - 1) != 0)
        return (struct slice){NULL, 0};
    if (text.data[at + MARK_SIZE - 1] != begin.data[MARK_SIZE - 1] &&
        text.data[at + MARK_SIZE - 1] != MARK_END[MARK_SIZE - 1])
        return (struct slice){NULL, 0};
    *ret_size = MARK_SIZE;
    return text.data[at + MARK_SIZE - 1] == begin.data[MARK_SIZE - 1] ? SLICE_LITERAL("<em>")
                                                                      : SLICE_LITERAL("</em>");
}

/* HTML that is safe to show: of the message's own characters none means anything. */
static void write_marked(struct json_writer *writer, struct slice text)
{
    size_t begin = 0, size;

    json_writer_begin_string(writer);
    for (size_t i = 0; i < text.size; i += size) {
        struct slice other = replacement(text, i, &size);

        if (other.size == 0)
            continue;
        json_writer_string_piece(writer, (struct slice){text.data + begin, i - begin});
        json_writer_string_piece(writer, other);
        begin = i + size;
    }
    json_writer_string_piece(writer, (struct slice){text.data + begin, text.size - begin});
    json_writer_end_string(writer);
}

static void write_highlight(struct search *search, int64_t id)
{
    struct json_writer *writer = &search->run.answer.writer;
    sqlite3_stmt *row;

    json_writer_key(writer, SLICE_LITERAL("highlight"));
    if (sqlite_session_prepare(search->run.session, SQL_HIGHLIGHT, &row) < 0) {
        json_writer_null(writer);
        return;
    }
    sqlite_bind_number(row, 1, id);
    sqlite_bind_slice(row, 2, (struct slice){search->match, search->match_size});
    if (sqlite_step(row) == 1) {
        write_marked(writer, sqlite_slice(row, 0));
        sqlite_reset(row);
    } else {
        json_writer_null(writer); /* out of time: the page's own statement says so next */
    }
}

static struct search *search_of(struct sqlite_query *run)
{
    return container_of(run, struct search, run);
}

static void write_event(struct sqlite_query *run, sqlite3_stmt *row)
{
    struct search *search = search_of(run);
    struct json_writer *writer = &run->answer.writer;

    json_writer_begin_object(writer);
    sqlite_write_event_members(writer, row);
    if (search->is_ranked) {
        json_writer_key(writer, SLICE_LITERAL("score"));
        json_writer_double(writer, -sqlite3_column_double(row, EVENT_COLUMN_COUNT));
    }
    if (search->has_text && run->query->search.wants_highlights)
        write_highlight(search, sqlite_number(row, EVENT_COLUMN_ID));
    json_writer_end_object(writer);
}

/* The score of a place, whose bits the word is. */
static double score_of(uint64_t word)
{
    double score;

    memcpy(&score, &word, sizeof(score));
    return score;
}

/* (occurred_ms, event id) among the newest first. */
static void place_newest(sqlite3_stmt *row, struct read_cursor *ret_place)
{
    struct slice id = sqlite_slice(row, EVENT_COLUMN_EVENT_ID);

    assert(id.size == UUID_SIZE);
    ret_place->words[0] = (uint64_t)sqlite_number(row, EVENT_COLUMN_OCCURRED);
    memcpy(&ret_place->words[1], id.data, UUID_SIZE); /* two words of bytes as they stand */
}

/* (score, id) among the most relevant first. */
static void place_ranked(sqlite3_stmt *row, struct read_cursor *ret_place)
{
    double score = sqlite3_column_double(row, EVENT_COLUMN_COUNT);

    memcpy(&ret_place->words[0], &score, sizeof(score));
    ret_place->words[1] = (uint64_t)sqlite_number(row, EVENT_COLUMN_ID);
}

static const struct sqlite_rows NEWEST_ROWS = {SLICE_INITIALIZER("events"), write_event,
                                               place_newest};
static const struct sqlite_rows BEST_ROWS = {SLICE_INITIALIZER("events"), write_event,
                                             place_ranked};

/* What the pages after this one need not find out again, in the word behind the place. */
static void remember(const struct search *search, struct read_cursor *place)
{
    place->words[3] =
        (uint64_t)search->total << FLAG_BITS | (search->is_ranked ? FLAG_RANKED : 0u) |
        (search->is_walked ? FLAG_WALKED : 0u) | (search->total_is_exact ? FLAG_EXACT : 0u);
}

static void recall(struct search *search, const struct read_cursor *place)
{
    search->is_ranked = (place->words[3] & FLAG_RANKED) != 0;
    search->is_walked = (place->words[3] & FLAG_WALKED) != 0;
    search->total_is_exact = (place->words[3] & FLAG_EXACT) != 0;
    search->total = (int64_t)(place->words[3] >> FLAG_BITS);
}

/* Behind the place, or from the best on if it is NULL. */
static void bind_best_place(sqlite3_stmt *statement, const struct read_cursor *place)
{
    sqlite3_bind_double(statement, PARAMETER_PLACE,
                        place == NULL ? -1e308 : score_of(place->words[0]));
    sqlite_bind_number(statement, PARAMETER_PLACE + 1,
                       place == NULL ? INT64_MIN : (int64_t)place->words[1]);
}

/* Behind the place, or all if it is NULL: no id comes before the empty one. */
static void bind_newest_place(sqlite3_stmt *statement, const struct read_search *asked,
                              const struct read_cursor *place)
{
    int64_t end_ms = asked->to_ms == 0 ? INT64_MAX : (int64_t)asked->to_ms;

    sqlite_bind_number(statement, PARAMETER_PLACE,
                       place == NULL ? end_ms : (int64_t)place->words[0]);
    if (place == NULL)
        sqlite_bind_bytes(statement, PARAMETER_PLACE + 1, "", 0);
    else
        sqlite_bind_bytes(statement, PARAMETER_PLACE + 1, &place->words[1], UUID_SIZE);
}

/* The statement of the page behind the place, which stays as long as it; NULL: the first one. */
MUST_USE static int prepare_page(struct search *search, const struct read_cursor *place,
                                 sqlite3_stmt **ret_row)
{
    const char *sql = SQL_PLAIN;
    int r;

    if (search->is_ranked)
        sql = SQL_BEST;
    else if (search->has_text)
        sql = search->is_walked ? SQL_WALK : SQL_JOIN;
    r = prepare(search, sql, (int64_t)search->run.query->limit + 1, ret_row);
    if (r < 0)
        return r;
    if (search->is_ranked)
        bind_best_place(*ret_row, place);
    else
        bind_newest_place(*ret_row, &search->run.query->search, place);
    return 0;
}

/* Something was typed, but nothing that can be found. */
static enum read_result answer_nothing(struct sqlite_query *run)
{
    read_answer_begin(&run->answer, run->query);
    json_writer_key(&run->answer.writer, SLICE_LITERAL("order"));
    json_writer_string(&run->answer.writer, SLICE_LITERAL("newest"));
    sqlite_write_number(&run->answer.writer, "total", 0);
    json_writer_key(&run->answer.writer, SLICE_LITERAL("total_is_exact"));
    json_writer_boolean(&run->answer.writer, true);
    read_answer_begin_rows(&run->answer, SLICE_LITERAL("events"));
    read_answer_end_rows(&run->answer, NULL);
    return read_answer_finish(&run->answer);
}

static enum read_result answer(struct search *search, const struct read_cursor *place)
{
    struct sqlite_query *run = &search->run;
    struct read_cursor next = {{0}};
    sqlite3_stmt *row;
    bool has_more;
    int r = 0;

    read_answer_begin(&run->answer, run->query);
    sqlite_write_text(&run->answer.writer, "order",
                      search->is_ranked ? SLICE_LITERAL("relevance") : SLICE_LITERAL("newest"));
    write_total(search);
    if (run->query->search.wants_facets)
        r = write_facets(search);
    if (r == 0)
        r = prepare_page(search, place, &row);
    if (r == 0)
        r = sqlite_query_rows(run, row, search->is_ranked ? &BEST_ROWS : &NEWEST_ROWS, &next,
                              &has_more);
    if (r < 0)
        return sqlite_query_result(r);
    if (has_more && run->answer.row_count == 0)
        return READ_TOO_BIG;
    remember(search, &next);
    read_answer_end_rows(&run->answer, has_more ? &next : NULL);
    return read_answer_finish(&run->answer);
}

/* Finds out whether it is cheaper to go along the index of times. 0 or a negative errno. */
MUST_USE static int choose_plan(struct search *search)
{
    double joined, walked;
    sqlite3_stmt *row;
    int r;

    if (search->hits <= JOINED_MIN || search->has_prefix)
        return 0;
    r = sqlite_query_prepare(&search->run,
                             "SELECT sum(value) FROM metric_minutes WHERE project_id = ?1", &row);
    if (r == 0)
        r = sqlite_step(row);
    if (r < 0)
        return r;
    joined = (double)search->hits * HIT_NS;
    walked = ((double)search->run.query->limit + 1) * (double)sqlite_number(row, 0) /
             (double)search->hits * ROW_NS * search->term_count;
    search->is_walked = walked < joined;
    sqlite_reset(row);
    return 0;
}

/* The first page: what there is, and so in which order it comes. 0 or a negative errno. */
MUST_USE static int look(struct search *search)
{
    int r = 0;

    if (search->has_text)
        r = count_rows(search, SQL_COUNT_HITS, COUNTED_MAX, &search->hits);
    if (r < 0)
        return r;
    search->is_ranked = search->has_text && search->hits <= RANKED_MAX &&
                        search->run.query->search.order == READ_BEST_FIRST;
    r = choose_plan(search);
    return r < 0 ? r : count_total(search);
}

enum read_result sqlite_run_search(struct sqlite_query *run)
{
    struct search_term terms[SEARCH_TERM_COUNT_MAX];
    struct search search = {.run = *run};
    const struct read_search *asked = &run->query->search;
    uint32_t term_count = search_text_read(asked->text, terms);
    struct read_cursor place = {{0}};
    enum read_cursor_result has_place = read_cursor_read(run->query, &place);
    int r = 0;

    assert(asked->text.size <= SEARCH_TEXT_SIZE_MAX);
    assert(term_count <= SEARCH_TERM_COUNT_MAX);
    if (has_place == READ_CURSOR_BAD)
        return READ_BAD_CURSOR;
    if (asked->text.size > 0 && term_count == 0)
        return answer_nothing(run);
    search.has_text = term_count > 0;
    if (search.has_text)
        build_match(&search, terms, term_count);
    if (has_place == READ_CURSOR_GIVEN)
        recall(&search, &place);
    else
        r = look(&search);
    return r < 0 ? sqlite_query_result(r)
                 : answer(&search, has_place == READ_CURSOR_GIVEN ? &place : NULL);
}
