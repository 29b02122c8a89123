/*
 * App failure: why a process did not start or had to end, for a person and for whoever
 * started it.
 *
 * The reason is a sentence, the exit code one of those of sysexits.h that the README lists.
 */
#pragma once

#include "runtime/base.h"

enum app_exit {
    APP_EXIT_FAILED = 1,         /* out of memory and the like */
    APP_EXIT_UNAVAILABLE = 69,   /* an address cannot be had */
    APP_EXIT_CANNOT_CREATE = 73, /* the data directory cannot be used, or is full */
    APP_EXIT_IO = 74,            /* the log cannot be read or written */
    APP_EXIT_CONFIG = 78,        /* a setting is wrong */
};

enum { APP_TEXT_SIZE = 1024 }; /* of a reason, terminated */

/* Writes the reason to text (APP_TEXT_SIZE bytes), cut where it is longer. Returns -ECANCELED. */
PRINTF_LIKE(4, 5)
int app_fail(char *text, int *ret_exit_code, enum app_exit exit_code, const char *format, ...);
