/*
 * Capability: whether this thread holds one of capabilities(7).
 */
#pragma once

#include "runtime/base.h"

/* True when capability (a CAP_ number) is in the effective set. Makes a system call. */
bool capability_is_effective(unsigned int capability);
