/*
 * Record types: the number of each kind of record in the log.
 *
 * On disk: only ever append, never reuse. store/record.h says what each of them is, and
 * where its layout stands.
 */
#pragma once

enum record_type {
    RECORD_EVENT = 1,
    RECORD_CLAIM = 2,
    RECORD_KEY = 3,
    RECORD_JOB = 4,
    RECORD_JOB_FACT = 5,
    RECORD_JOB_QUEUE = 6,
    RECORD_SCHEDULE = 7,
    RECORD_BREAKER = 8,
    RECORD_REPLAY = 9,
    RECORD_INCIDENT = 10,
    RECORD_AI_RUN = 11,
    RECORD_INCIDENT_RULES = 12,
};
