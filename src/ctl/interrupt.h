/* SPDX-License-Identifier: MIT */
/* SIGINT and SIGTERM as something to wait for. Before interrupt_catch they end the program at once. */
#pragma once

/* From now on they are counted; the third one ends the program at once. SIGPIPE is ignored. 0, -errno of pipe2(2). More
 * calls do nothing.
 */
int interrupt_catch(void);

/* How many came. */
unsigned interrupt_count(void);

/* Readable when one came since interrupt_clear; -1 before interrupt_catch. */
int interrupt_fd(void);
void interrupt_clear(void);
