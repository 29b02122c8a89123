/*
 * Banned: calls that are never right here, turned into compile errors.
 *
 * Unbounded copies, hidden state, locale dependence. The replacement stands
 * beside each name. Included by base.h after the headers that declare them.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy   /* memcpy with a checked size */
#pragma GCC poison strcat   /* snprintf */
#pragma GCC poison strncpy  /* memcpy */
#pragma GCC poison strncat  /* snprintf */
#pragma GCC poison sprintf  /* snprintf */
#pragma GCC poison vsprintf /* vsnprintf */
#pragma GCC poison strtok   /* slices */
#pragma GCC poison gmtime   /* contracts/timestamp */
#pragma GCC poison localtime
#pragma GCC poison asctime
#pragma GCC poison ctime
#pragma GCC poison atoi /* a parser that reports errors */
#pragma GCC poison atol
#pragma GCC poison atoll
#pragma GCC poison rand /* runtime/rng */
#pragma GCC poison srand
#pragma GCC poison random
