-- Settings of a queue that change while jobs are enqueued and run; NULL: no such limit.
ALTER TABLE {p}queue ADD COLUMN paused_until INTEGER;
ALTER TABLE {p}queue ADD COLUMN max_queued INTEGER;
-- Counted at the gates "queue:NAME", where the terms stand as an override; rate as it was written.
ALTER TABLE {p}queue ADD COLUMN concurrency INTEGER;
ALTER TABLE {p}queue ADD COLUMN rate TEXT;

-- Tasks that are paused, or were and left jobs aside; a task that nobody ever paused has no row.
CREATE TABLE {p}task_pause (
    task TEXT PRIMARY KEY,
    paused_at INTEGER,
    paused_reason TEXT,
    paused_by TEXT,
    paused_until INTEGER
) STRICT, WITHOUT ROWID;

-- Jobs that workers took and set aside, since their task is paused. They are blocked until then.
CREATE TABLE {p}aside (
    task TEXT NOT NULL,
    job_id INTEGER NOT NULL,
    PRIMARY KEY (task, job_id)
) STRICT, WITHOUT ROWID;
