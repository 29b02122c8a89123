/*
 * Time slice: how long the calling thread keeps its processor when others want it, too.
 */
#pragma once

#include "runtime/base.h"

/*
 * Asks for slices of this length for the calling thread, everything else about how it is
 * scheduled staying as it is. 0, or -errno; Linux before 6.12 answers 0 and does nothing.
 */
MUST_USE int time_slice_set(uint64_t slice_ns);

/* Ends the present slice: others that want the processor go first, if there are any. */
void time_slice_end(void);

/* What it was asked for last; 0: nothing, or Linux before 6.12. 0 or -errno. */
MUST_USE int time_slice_get(uint64_t *ret_slice_ns);
