/*
 * Hosts file: the names that the operator of this machine gave addresses to.
 *
 * Read once, at start: /etc/hosts, as containers and test machines use it. Lines are
 * "address name name ... # comment"; what is no such line is passed over, as everywhere.
 */
#pragma once

#include "http/address.h"

enum {
    HOSTS_FILE_ENTRY_COUNT_MAX = 1024, /* name and address; more are left out */
    HOSTS_FILE_NAME_SIZE_MAX = 253,
};

struct hosts_file;

/* Reads the file; one that is absent has no names. 0 or -ENOMEM. Start-up only. */
MUST_USE int hosts_file_new(const char *path, struct hosts_file **ret_file);

/* Frees it and nulls the pointer. NULL is accepted. */
void hosts_file_free(struct hosts_file **file);

/* Copies at most count_max addresses of a name in lower case, in order; how many there are. */
MUST_USE uint32_t hosts_file_find(const struct hosts_file *file, struct slice lower_name,
                                  struct address *addresses, uint32_t count_max);
