-- The data directory whose logs the rows come from.
CREATE TABLE owner (uuid BLOB NOT NULL);

-- Whose rows: organisation and project, by a short number.
CREATE TABLE projects (
    id INTEGER PRIMARY KEY,
    org TEXT NOT NULL,
    project TEXT NOT NULL,
    UNIQUE (org, project)
);

-- How far each log has been read; written with the rows that follow from it.
-- A record begins in segment seq at file offset place; next_lsn is the first one wanted.
CREATE TABLE positions (
    log INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,
    place INTEGER NOT NULL,
    next_lsn INTEGER NOT NULL,
    location INTEGER NOT NULL -- of the last record that was read
);

-- One per event, without its payload. id is the record's location in the logs, so a
-- rebuild gives the same ids; severity, event_type and environment are numbers of
-- contracts/raw_event.h.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL,
    event_id BLOB NOT NULL, -- 16 bytes
    spelled_id TEXT, -- as the client wrote it, when that is not the usual form in lower case
    occurred_ms INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    environment INTEGER NOT NULL,
    event_type INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    series BLOB, -- 16 bytes; NULL: of no series
    message TEXT NOT NULL,
    attributes TEXT NOT NULL -- JSON
);

CREATE UNIQUE INDEX events_by_event_id ON events (project_id, event_id);
CREATE INDEX events_by_time ON events (project_id, occurred_ms, environment, event_type, severity);
CREATE INDEX events_by_series ON events (series, occurred_ms) WHERE series IS NOT NULL;

-- What the text index sees. A search asks for the scope together with its words, so that
-- it costs what the project's own events cost.
CREATE VIEW event_texts AS
SELECT id, 'p' || project_id AS scope, message FROM events;

CREATE VIRTUAL TABLE event_search USING fts5 (
    scope, message,
    content = 'event_texts', content_rowid = 'id',
    tokenize = 'porter unicode61 remove_diacritics 2'
);

-- Events per minute of occurred_at, counted when their row is made; received_ms is the newest
-- one's, so a minute goes when the last of its events goes.
CREATE TABLE metric_minutes (
    project_id INTEGER NOT NULL,
    event_type INTEGER NOT NULL,
    minute_ms INTEGER NOT NULL,
    environment INTEGER NOT NULL,
    value INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    PRIMARY KEY (project_id, event_type, minute_ms, environment)
) WITHOUT ROWID;

-- Incidents as their latest record says. Columns and numbers: store/incident_record.h.
CREATE TABLE incidents (
    id TEXT PRIMARY KEY, -- UUID
    project_id INTEGER NOT NULL,
    environment INTEGER NOT NULL,
    rule INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    series BLOB NOT NULL, -- 16 bytes
    status INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    title TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    opened_ms INTEGER NOT NULL,
    reopened_ms INTEGER NOT NULL,
    last_seen_ms INTEGER NOT NULL,
    resolved_ms INTEGER, -- NULL: it is not
    updated_ms INTEGER NOT NULL, -- by the server's clock
    reopen_count INTEGER NOT NULL,
    is_flapping INTEGER NOT NULL,
    window_count INTEGER NOT NULL,
    baseline_milli INTEGER NOT NULL,
    revision INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX incidents_by_opened ON incidents (project_id, opened_ms, id);
CREATE INDEX incidents_by_resolved ON incidents (resolved_ms) WHERE resolved_ms IS NOT NULL;

-- What happened to an incident: one row per revision, but for those that only say that it
-- was seen again.
CREATE TABLE incident_changes (
    incident_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    at_ms INTEGER NOT NULL, -- in the time of the events
    written_ms INTEGER NOT NULL,
    cause INTEGER NOT NULL,
    actor TEXT NOT NULL, -- id of the API key that asked for it; may be empty
    status INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    PRIMARY KEY (incident_id, revision)
) WITHOUT ROWID;

-- The work of models as its latest record says. Columns and numbers: store/ai_run_record.h.
CREATE TABLE ai_runs (
    id TEXT PRIMARY KEY, -- UUID; the job's, too
    project_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    incident_id TEXT NOT NULL,
    state INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    model_answered TEXT NOT NULL,
    prompt TEXT NOT NULL,
    prompt_sha256 BLOB NOT NULL,
    input_sha256 BLOB NOT NULL,
    schema_name TEXT NOT NULL,
    prices TEXT NOT NULL,
    max_tokens INTEGER NOT NULL,
    temperature_milli INTEGER NOT NULL,
    cost_micro_usd INTEGER, -- NULL: unknown
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    confidence_ppm INTEGER, -- NULL: unknown
    finish INTEGER NOT NULL,
    error INTEGER NOT NULL,
    validation INTEGER NOT NULL,
    repair_count INTEGER NOT NULL,
    attempt_count INTEGER NOT NULL,
    attempts TEXT NOT NULL, -- JSON, as in answers
    correlation_id TEXT NOT NULL,
    last_error TEXT NOT NULL,
    problems TEXT NOT NULL,
    output TEXT, -- JSON; NULL unless it succeeded
    revision INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX ai_runs_by_created ON ai_runs (project_id, created_ms, id);
CREATE INDEX ai_runs_by_incident ON ai_runs (incident_id, created_ms);

-- The jobs of kind incident.*, as far as their records say; a lease is in no record.
-- States and reasons are numbers of store/job_record.h.
CREATE TABLE jobs (
    id_low INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    id TEXT NOT NULL, -- UUID
    project_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    incident_id TEXT, -- from the payload
    state INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL, -- 0: the default
    reason INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    due_ms INTEGER,
    ended_ms INTEGER,
    last_error TEXT NOT NULL,
    PRIMARY KEY (partition, id_low)
) WITHOUT ROWID;

CREATE INDEX jobs_by_incident ON jobs (incident_id);
CREATE INDEX jobs_by_created ON jobs (project_id, created_ms, id);
