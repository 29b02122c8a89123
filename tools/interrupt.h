/*
 * Interrupt: Ctrl-C, for commands that then end in good order.
 *
 * One flag for the process, which has one such command. A signal wakes whoever sleeps in a
 * system call, so a loop looks at the flag after each.
 */
#pragma once

#include <signal.h>

/*
 * From now on the first SIGINT or SIGTERM sets the flag that this gives, which is never
 * freed; the same signal again ends the process.
 */
const volatile sig_atomic_t *interrupt_catch(void);
