/*
 * Record layout: what the payloads of several kinds of record are built of.
 *
 * A head of fixed size, copied out before it is looked at since a payload may lie at any
 * address; then sections: the parts whose size varies. They stand one after the other,
 * unpadded, in the order of the record's own enum, and the head has their sizes. The last one
 * ends where the payload ends, to the byte. What is reserved is 0. What else a record says,
 * and whether that goes together, is the record's own business.
 */
#pragma once

#include "runtime/base.h"

/* The latest instant that has a date, in unix ms: the end of year 9999. */
#define RECORD_TIME_MS_MAX UINT64_C(253402300799999)

/* True when all bytes are 0, as what is reserved must be. */
MUST_USE bool record_is_zero(const void *bytes, size_t size);

/* How large one section may be; all 0: it must be empty. */
struct record_section_bounds {
    uint32_t size_min;
    uint32_t size_max;
};

/* True when each of count sections is within its bounds. */
MUST_USE bool record_sections_fit(const struct slice *sections,
                                  const struct record_section_bounds *bounds, uint32_t count);

/* Bytes of all of them. */
uint64_t record_sections_size(const struct slice *sections, uint32_t count);

/* Copies them to at, which has room for record_sections_size() bytes; returns that size. */
uint64_t record_sections_write(const struct slice *sections, uint32_t count, char *at);

/*
 * Cuts what follows the head_size bytes at the beginning of the payload into sections of these
 * sizes, which borrow it. False, and nothing is written, when the sizes do not add up to that.
 */
MUST_USE bool record_sections_read(struct slice payload, uint64_t head_size, const uint32_t *sizes,
                                   uint32_t count, struct slice *ret_sections);
