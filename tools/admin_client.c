/*
 * A token that is given wins over the environment, and that over the file: on the machine
 * of the server nothing has to be said. Texts that come from the server may be anything a
 * worker has sent: they are printed without their control characters.
 */
#include "tools/admin_client.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "contracts/json_reader.h"
#include "contracts/json_string.h"

enum { TEXT_SIZE = 512, MEMBER_SIZE_MAX = 8192, CURSOR_SIZE_MAX = 256 };

/* Reads <data>/admin.token. 0 or -errno. */
static int read_token_file(const struct admin_client *client, char *path, char *token)
{
    const char *data = options_text(&client->options, "data", "./weir-data");
    ssize_t n;
    int fd;

    if (snprintf(path, TEXT_SIZE, "%s/admin.token", data) >= TEXT_SIZE)
        return -ENAMETOOLONG;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    n = read(fd, token, ADMIN_CLIENT_TOKEN_SIZE_MAX - 1);
    if (n < 0) {
        int error = -errno;

        close(fd);
        return error;
    }
    close(fd);
    token[n] = '\0';
    token[strcspn(token, " \r\n")] = '\0';
    return token[0] != '\0' ? 0 : -ENODATA;
}

/* Finds the admin token. 0 or an exit code. */
static int find_token(struct admin_client *client)
{
    const char *given = options_text(&client->options, "admin-token", getenv("WEIR_ADMIN_TOKEN"));
    char path[TEXT_SIZE] = "", text[2 * TEXT_SIZE];
    int r;

    if (given != NULL && *given != '\0') {
        if (strlen(given) >= sizeof(client->token))
            return command_usage_error(client->command, "the admin token is too long");
        memcpy(client->token, given, strlen(given) + 1);
        return 0;
    }
    r = read_token_file(client, path, client->token);
    if (r == 0)
        return 0;
    snprintf(text, sizeof(text),
             "no admin token: neither --admin-token nor WEIR_ADMIN_TOKEN, and %s: %s", path,
             strerror(-r));
    return admin_client_fail(client, COMMAND_BAD_DATA_DIR, text);
}

bool admin_client_begin(struct admin_client *client, const struct command_spec *command, int argc,
                        char **argv, int *ret_exit_code)
{
    char text[TEXT_SIZE];
    const char *url;
    int r;

    client->command = command;
    client->call = NULL;
    if (!command_begin(command, argc, argv, &client->options, ret_exit_code))
        return false;
    *ret_exit_code = find_token(client);
    if (*ret_exit_code != 0)
        return false;
    url = options_text(&client->options, "url", "http://127.0.0.1:3000");
    r = http_call_new(url, HTTP_CALL_TIMEOUT_MS_DEFAULT, &client->call);
    if (r < 0) {
        *ret_exit_code =
            command_usage_error(command, "--url needs http[s]://HOST[:PORT], not \"%s\"", url);
        return false;
    }
    r = http_call_trust(client->call, options_text(&client->options, "ca", NULL), text,
                        sizeof(text));
    if (r < 0)
        *ret_exit_code = admin_client_fail(client, COMMAND_FAILED, text);
    return r == 0;
}

void admin_client_end(struct admin_client *client)
{
    http_call_free(&client->call);
}

int admin_client_fail(const struct admin_client *client, int exit_code, const char *text)
{
    return command_fail(client->command->name, exit_code, "%s", text);
}

int admin_client_call(struct admin_client *client, struct http_call_request *request,
                      unsigned wanted, unsigned also, struct http_call_answer *ret_answer)
{
    char text[TEXT_SIZE];
    int r;

    request->token = client->token;
    r = http_call_send(client->call, request, ret_answer);
    if (r < 0) {
        http_call_describe(client->call, r, text, sizeof(text));
        return admin_client_fail(
            client, http_call_is_unreachable(r) ? COMMAND_UNAVAILABLE : COMMAND_FAILED, text);
    }
    if (ret_answer->status == wanted || ret_answer->status == also)
        return 0;
    http_call_describe_refusal(ret_answer, text, sizeof(text));
    return admin_client_fail(client, ret_answer->status == 503 ? COMMAND_TRY_AGAIN : COMMAND_FAILED,
                             text);
}

int admin_client_read(const struct admin_client *client, struct slice body,
                      struct slice *ret_object)
{
    struct json_reader reader;
    struct json_value document;

    if (json_read_document(body, JSON_DEPTH_MAX, &reader, &document) != JSON_OK ||
        document.type != JSON_OBJECT)
        return admin_client_fail(client, COMMAND_FAILED, "the answer is not that of a weir server");
    *ret_object = document.raw;
    return 0;
}

/* "ingest,read" out of ["ingest","read"]; such words need no escapes. */
static struct slice join_list(struct slice list, char *buffer, size_t capacity)
{
    size_t size = 0;

    for (size_t i = 0; i < list.size && size < capacity; i++)
        if (strchr("[]\" ", list.data[i]) == NULL)
            buffer[size++] = list.data[i];
    return (struct slice){buffer, size};
}

/* What others have written must not move the cursor of this terminal. */
static struct slice without_controls(struct slice text, char *buffer, size_t capacity)
{
    size_t size = text.size < capacity ? text.size : capacity;

    for (size_t i = 0; i < size; i++) {
        bool is_control = (unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f;

        buffer[i] = is_control ? ' ' : text.data[i];
    }
    return (struct slice){buffer, size};
}

void admin_client_print_member(struct slice object, const char *name, int width, size_t size_max)
{
    char buffer[MEMBER_SIZE_MAX], decoded[MEMBER_SIZE_MAX];
    struct slice text = SLICE_LITERAL("-");
    struct json_value value;

    if (json_find_member(object, slice_of(name), &value) && value.type != JSON_NULL) {
        if (value.type == JSON_ARRAY)
            text = join_list(value.raw, buffer, sizeof(buffer));
        else if (value.type == JSON_STRING &&
                 json_string_text(&value, decoded, sizeof(decoded), &text))
            text = without_controls(text, buffer, sizeof(buffer));
        else
            text = without_controls(value.raw, buffer, sizeof(buffer));
    }
    if (size_max > 0 && text.size > size_max)
        text.size = size_max;
    printf("%-*.*s", width, (int)text.size, text.data);
}

bool admin_client_next_page(struct slice object, const char *path_begin, char *path)
{
    struct json_value cursor;
    struct slice text;
    char buffer[CURSOR_SIZE_MAX];

    if (!json_find_member(object, SLICE_LITERAL("next_cursor"), &cursor) ||
        cursor.type != JSON_STRING || !json_string_text(&cursor, buffer, sizeof(buffer), &text) ||
        text.size == 0)
        return false;
    return snprintf(path, ADMIN_CLIENT_PATH_SIZE, "%s&cursor=%.*s", path_begin, (int)text.size,
                    text.data) < ADMIN_CLIENT_PATH_SIZE;
}
