/*
 * A flat array, searched from its beginning: it is asked once per look-up, and a look-up
 * is a matter of a datagram there and back.
 */
#include "http/hosts_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/char_class.h"

enum { LINE_SIZE_MAX = 4096 };

struct entry {
    struct address address;
    uint8_t name_size;
    char name[HOSTS_FILE_NAME_SIZE_MAX];
};

struct hosts_file {
    uint32_t count;
    struct entry entries[HOSTS_FILE_ENTRY_COUNT_MAX];
};

/* The next word of *rest, which moves behind it; empty at the end of the line. */
static struct slice next_word(struct slice *rest)
{
    struct slice word;

    while (rest->size > 0 && (*rest->data == ' ' || *rest->data == '\t')) {
        rest->data++;
        rest->size--;
    }
    word = (struct slice){rest->data, 0};
    while (rest->size > 0 && *rest->data != ' ' && *rest->data != '\t') {
        rest->data++;
        rest->size--;
        word.size++;
    }
    return word;
}

static void add(struct hosts_file *file, const struct address *address, struct slice name)
{
    struct entry *entry = &file->entries[file->count];

    if (file->count == HOSTS_FILE_ENTRY_COUNT_MAX || name.size > HOSTS_FILE_NAME_SIZE_MAX)
        return;
    entry->address = *address;
    entry->name_size = (uint8_t)name.size;
    for (size_t i = 0; i < name.size; i++)
        entry->name[i] = char_lower(name.data[i]);
    file->count++;
}

static void read_line(struct hosts_file *file, struct slice line)
{
    const char *comment = line.size > 0 ? memchr(line.data, '#', line.size) : NULL;
    struct address address;
    struct slice word;

    if (comment != NULL)
        line.size = (size_t)(comment - line.data);
    word = next_word(&line);
    if (word.size == 0 || address_parse(word, memchr(word.data, ':', word.size) != NULL, 1,
                                        &address) != ADDRESS_LITERAL)
        return;
    address = address_with_port(&address, 0);
    while ((word = next_word(&line)).size > 0)
        add(file, &address, word);
}

int hosts_file_new(const char *path, struct hosts_file **ret_file)
{
    struct hosts_file *file = calloc(1, sizeof(*file));
    char line[LINE_SIZE_MAX];
    FILE *stream;

    if (file == NULL)
        return -ENOMEM;
    *ret_file = file;
    stream = fopen(path, "re");
    if (stream == NULL)
        return 0;
    while (fgets(line, sizeof(line), stream) != NULL)
        read_line(file, (struct slice){line, strcspn(line, "\r\n")});
    fclose(stream);
    return 0;
}

void hosts_file_free(struct hosts_file **file)
{
    free(*file);
    *file = NULL;
}

uint32_t hosts_file_find(const struct hosts_file *file, struct slice lower_name,
                         struct address *addresses, uint32_t count_max)
{
    uint32_t count = 0;

    assert(file->count <= HOSTS_FILE_ENTRY_COUNT_MAX);
    for (uint32_t i = 0; i < file->count && count < count_max; i++) {
        const struct entry *entry = &file->entries[i];

        if (slice_equal((struct slice){entry->name, entry->name_size}, lower_name))
            addresses[count++] = entry->address;
    }
    return count;
}
