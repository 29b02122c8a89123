/*
 * Version: which weir this is; made by the build from version.c.in.
 */
#pragma once

extern const char version_number[];
/* Abbreviated; "unknown" when it was built from a tree without git. */
extern const char version_commit[];
