/*
 * Disk recorder: passes blocking calls on to a disk and notes them in a write log.
 */
#pragma once

#include "runtime/disk.h"
#include "tests/crash/write_log.h"

/* Private but for disk, which is lent to the server. */
struct disk_recorder {
    struct disk disk;
    struct disk *inner;
    struct write_log *log;
};

/* Borrows both. */
void disk_recorder_init(struct disk_recorder *recorder, struct disk *inner, struct write_log *log);
