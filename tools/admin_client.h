/*
 * Admin client: what commands over the admin API of a running server have in common.
 *
 * Who asks is said by --admin-token, WEIR_ADMIN_TOKEN, or the file that the server keeps in
 * its data directory; an API key with scope admin will do too. Refusals are said on stderr
 * in words, and become exit codes.
 */
#pragma once

#include "tools/commands.h"
#include "tools/http_call.h"
#include "tools/options.h"

enum {
    ADMIN_CLIENT_TOKEN_SIZE_MAX = 256,
    ADMIN_CLIENT_PATH_SIZE = 1024,
};

/* For the option tables of such commands. */
#define ADMIN_CLIENT_OPTIONS                                                                       \
    {.name = "url",                                                                                \
     .kind = OPTION_TEXT,                                                                          \
     .argument = "URL",                                                                            \
     .help = "the server (default http://127.0.0.1:3000)"},                                        \
        {.name = "ca",                                                                             \
         .kind = OPTION_TEXT,                                                                      \
         .argument = "FILE",                                                                       \
         .help = "for https: trust the PEM certificates in it, too"},                              \
        {.name = "admin-token",                                                                    \
         .kind = OPTION_TEXT,                                                                      \
         .argument = "TOKEN",                                                                      \
         .help = "default: WEIR_ADMIN_TOKEN, else the file admin.token in the data directory"},    \
        {.name = "data",                                                                           \
         .kind = OPTION_TEXT,                                                                      \
         .argument = "DIR",                                                                        \
         .help = "the server's data directory (default ./weir-data)"},                             \
    {                                                                                              \
        .name = "json", .kind = OPTION_FLAG, .help = "print the server's answer"                   \
    }

/* One run of one command. command and options may be read. */
struct admin_client {
    const struct command_spec *command;
    struct options options;
    struct http_call *call;
    char token[ADMIN_CLIENT_TOKEN_SIZE_MAX];
};

/*
 * Reads the command line, finds the token, and makes the caller. True to go on; false to
 * return *ret_exit_code. Either way admin_client_end() comes after it.
 */
MUST_USE bool admin_client_begin(struct admin_client *client, const struct command_spec *command,
                                 int argc, char **argv, int *ret_exit_code);

/* Frees what begin made. */
void admin_client_end(struct admin_client *client);

/* Says "weir NAME: text" on stderr; gives exit_code back. */
int admin_client_fail(const struct admin_client *client, int exit_code, const char *text);

/*
 * Sends with the token; answers other than wanted are said, but for also, which is not
 * (0: none). 0, with *ret_answer until the next call, or an exit code.
 */
MUST_USE int admin_client_call(struct admin_client *client, struct http_call_request *request,
                               unsigned wanted, unsigned also, struct http_call_answer *ret_answer);

/* The body of an answer as a validated object. 0 or an exit code. */
MUST_USE int admin_client_read(const struct admin_client *client, struct slice body,
                               struct slice *ret_object);

/*
 * Prints a member as text, padded to width, no more than size_max bytes of it (0: all): a
 * string without its quotes and control characters, a list of words with commas, null or
 * nothing as "-".
 */
void admin_client_print_member(struct slice object, const char *name, int width, size_t size_max);

/*
 * The path of the page after this one: path_begin and the cursor, in path of
 * ADMIN_CLIENT_PATH_SIZE bytes. False at the end of the list.
 */
MUST_USE bool admin_client_next_page(struct slice object, const char *path_begin, char *path);
