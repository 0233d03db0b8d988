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

-- Who goes to another queue leaves the gates of its old one, and who waits there is looked at.
CREATE TRIGGER {p}job_left_queue AFTER UPDATE OF queue ON {p}job
WHEN NEW.marks & 1 AND OLD.queue <> NEW.queue
BEGIN
    DELETE FROM {p}gate_job
    WHERE job_id = NEW.id AND kind <> 'group' AND key = 'queue:' || OLD.queue;
    INSERT INTO {p}look (job_id) SELECT NEW.id WHERE NEW.state = 'blocked';
    INSERT INTO {p}look (job_id)
    SELECT (
        SELECT w.job_id FROM {p}gate_job AS w
        WHERE w.kind = kinds.kind AND w.key = 'queue:' || OLD.queue AND w.line IS NOT NULL
        LIMIT 1
    ) AS first
    FROM (SELECT 'concurrency' AS kind UNION ALL SELECT 'rate') AS kinds
    WHERE first IS NOT NULL;
END;
