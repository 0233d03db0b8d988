-- The first schema. Times are microseconds since 1970 (UTC); payloads are JSON texts.
-- The rules of a row spell out what IN would say: SQLite would build its set anew for every row.

CREATE TABLE {p}store (id TEXT NOT NULL, created_at INTEGER NOT NULL) STRICT;
INSERT INTO {p}store VALUES (lower(hex(randomblob(16))), CAST(unixepoch() AS INTEGER) * 1000000);

CREATE TABLE {p}job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task TEXT NOT NULL,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    rank INTEGER,
    due_at INTEGER,
    shelf TEXT,
    waiting_key TEXT,
    token INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    max_attempts INTEGER NOT NULL,
    losses INTEGER NOT NULL DEFAULT 0,
    max_losses INTEGER NOT NULL,
    reruns INTEGER NOT NULL DEFAULT 0,
    worker_id INTEGER,
    created_at INTEGER NOT NULL,
    run_at INTEGER,
    queued_at INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    expires_at INTEGER,
    cancel_requested_at INTEGER,
    timeout_us INTEGER,
    idempotency_key TEXT,
    args TEXT NOT NULL,
    result TEXT,
    error TEXT,
    tags TEXT,
    meta TEXT,
    CHECK ((rank IS NOT NULL) = (state = 'queued')),
    CHECK ((due_at IS NOT NULL) = (state = 'scheduled' OR state = 'retrying')),
    CHECK ((finished_at IS NOT NULL) = (state = 'succeeded' OR state = 'failed' OR state = 'cancelled')),
    CHECK (shelf IS CASE WHEN state = 'blocked' OR state = 'parked' OR state = 'failed' OR state = 'cancelled' THEN state END),
    CHECK ((reason IS NOT NULL) = (state = 'parked' OR state = 'failed' OR state = 'cancelled'))
) STRICT;

CREATE INDEX {p}job_claim ON {p}job (queue, priority, rank) WHERE rank IS NOT NULL;
CREATE INDEX {p}job_due ON {p}job (queue, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX {p}job_expiry ON {p}job (expires_at) WHERE rank IS NOT NULL AND expires_at IS NOT NULL;
CREATE INDEX {p}job_shelf ON {p}job (shelf, id) WHERE shelf IS NOT NULL;
CREATE UNIQUE INDEX {p}job_waiting_key ON {p}job (waiting_key) WHERE waiting_key IS NOT NULL;

CREATE TRIGGER {p}job_first_state BEFORE INSERT ON {p}job
WHEN NEW.state NOT IN ('blocked', 'scheduled', 'queued')
BEGIN
    SELECT RAISE(ABORT, 'jobpipe: a job cannot begin in this state');
END;

CREATE TRIGGER {p}job_edges BEFORE UPDATE ON {p}job
WHEN OLD.state <> NEW.state AND NOT (
    (OLD.state = 'blocked' AND NEW.state IN ('scheduled', 'queued', 'failed', 'cancelled'))
    OR (OLD.state = 'scheduled' AND NEW.state IN ('queued', 'failed', 'cancelled'))
    OR (OLD.state = 'queued' AND NEW.state IN ('scheduled', 'running', 'failed', 'cancelled'))
    OR (OLD.state = 'running' AND NEW.state IN ('scheduled', 'queued', 'retrying', 'parked', 'succeeded', 'failed', 'cancelled'))
    OR (OLD.state = 'retrying' AND NEW.state IN ('scheduled', 'queued', 'failed', 'cancelled'))
    OR (OLD.state = 'parked' AND NEW.state IN ('queued', 'failed', 'cancelled'))
    OR (OLD.state IN ('succeeded', 'failed', 'cancelled') AND NEW.state IN ('blocked', 'scheduled', 'queued') AND NEW.reruns = OLD.reruns + 1))
BEGIN
    SELECT RAISE(ABORT, 'jobpipe: this change of state is not legal');
END;

CREATE TABLE {p}attempt (
    job_id INTEGER NOT NULL,
    token INTEGER NOT NULL,
    number INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    worker TEXT,
    host TEXT,
    pid INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    error TEXT,
    PRIMARY KEY (job_id, token)
) STRICT, WITHOUT ROWID;

CREATE TABLE {p}worker (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    pid_started TEXT NOT NULL,
    slots INTEGER NOT NULL,
    queues TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    ended_at INTEGER,
    frontier TEXT
) STRICT;
CREATE INDEX {p}worker_alive ON {p}worker (id) WHERE ended_at IS NULL;

CREATE TABLE {p}claim (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    worker_id INTEGER NOT NULL,
    jobs TEXT NOT NULL
) STRICT;

CREATE TABLE {p}cancel_request (
    job_id INTEGER PRIMARY KEY,
    token INTEGER NOT NULL,
    worker_id INTEGER NOT NULL
) STRICT;

CREATE TABLE {p}idempotency (
    key TEXT PRIMARY KEY,
    job_id INTEGER NOT NULL,
    fingerprint TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE {p}lane (queue TEXT NOT NULL, priority INTEGER NOT NULL) STRICT;

CREATE TABLE {p}queue (
    name TEXT PRIMARY KEY,
    paused_at INTEGER,
    paused_reason TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE {p}tally (queue TEXT NOT NULL, state TEXT NOT NULL, n INTEGER NOT NULL) STRICT;

CREATE TABLE {p}duty (
    name TEXT PRIMARY KEY,
    next_at INTEGER NOT NULL,
    position INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
INSERT INTO {p}duty (name, next_at) VALUES ('prune', 0), ('rollup', 0);
