-- Who changed what, for people; and which processes show what happens as it happens.

-- Only appended and pruned. One row tells of a whole request: one that stores many jobs names the
-- first and the last of them in "after" and no job_id.
CREATE TABLE {p}audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    via TEXT NOT NULL,
    action TEXT NOT NULL,
    job_id INTEGER,
    queue TEXT,
    before TEXT,
    after TEXT,
    request_id TEXT
) STRICT;
CREATE INDEX {p}audit_job ON {p}audit (job_id) WHERE job_id IS NOT NULL;

-- A process with live watchers is there until then; it prolongs its row while somebody watches.
CREATE TABLE {p}watch (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    until INTEGER NOT NULL
) STRICT;

-- Who paused it: the audit may have been pruned by the time that somebody asks.
ALTER TABLE {p}queue ADD COLUMN paused_by TEXT;
