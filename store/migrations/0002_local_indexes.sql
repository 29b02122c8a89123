-- Indexes into which new events go side by side. In the two that they replace every event of a
-- batch had a page of its own once there were many, and that page was written: twice.

-- The unique one: an event that comes again has the id and the time that it had.
DROP INDEX events_by_event_id;
DROP INDEX events_by_time;
CREATE UNIQUE INDEX events_by_time
    ON events (project_id, occurred_ms, event_id, environment, event_type, severity);

-- One run of the index for each segment of a log, which is what id >> 23 tells apart. Who looks
-- for a series looks into each run: store/sqlite_incidents.c.
DROP INDEX events_by_series;
CREATE INDEX events_by_series ON events (id >> 23, series, project_id, occurred_ms)
    WHERE series IS NOT NULL;

-- The text index sorts its words in memory, and writes them when a batch ends or at this size;
-- fewer and longer pieces are merged less often, and then more of them at once.
INSERT INTO event_search (event_search, rank) VALUES ('hashsize', 8388608);
INSERT INTO event_search (event_search, rank) VALUES ('automerge', 8);
