-- Who changed what, for people; and which processes show what happens as it happens.

-- Only appended and pruned. One row tells of a whole request: one that stores many jobs names the
-- first and the last of them in "after" and no job_id.
CREATE TABLE {p}audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    who text NOT NULL,
    via text NOT NULL,
    action text NOT NULL,
    job_id bigint,
    queue text,
    before json,
    after json,
    request_id text
);
CREATE INDEX audit_job ON {p}audit (job_id) WHERE job_id IS NOT NULL;

-- A process with live watchers is there until then; it prolongs its row while somebody watches.
CREATE TABLE {p}watch (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    until bigint NOT NULL
);

-- Who paused it: the audit may have been pruned by the time that somebody asks.
ALTER TABLE {p}queue ADD COLUMN paused_by text;
