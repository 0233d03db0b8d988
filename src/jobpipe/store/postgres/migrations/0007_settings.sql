-- Settings of a queue that change while jobs are enqueued and run; NULL: no such limit.
ALTER TABLE {p}queue ADD COLUMN paused_until bigint, ADD COLUMN max_queued bigint;
-- Counted at the gates "queue:NAME", where the terms stand as an override; rate as it was written.
ALTER TABLE {p}queue ADD COLUMN concurrency integer, ADD COLUMN rate text;

-- Tasks that are paused, or were and left jobs aside; a task that nobody ever paused has no row.
CREATE TABLE {p}task_pause (
    task text PRIMARY KEY,
    paused_at bigint,
    paused_reason text,
    paused_by text,
    paused_until bigint
);

-- Jobs that workers took and set aside, since their task is paused. They are blocked until then.
CREATE TABLE {p}aside (task text NOT NULL, job_id bigint NOT NULL, PRIMARY KEY (task, job_id));
