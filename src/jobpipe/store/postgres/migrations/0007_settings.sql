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

-- Who goes to another queue leaves the gates of its old one, and who waits there is looked at.
CREATE FUNCTION {p}leave_queue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM {p}gate_job
    WHERE job_id = NEW.id AND kind <> 'group' AND key = 'queue:' || OLD.queue;
    IF NEW.state = 'blocked' THEN
        INSERT INTO {p}look (job_id) VALUES (NEW.id);
    END IF;
    INSERT INTO {p}look (job_id)
    SELECT first.job_id
    FROM (VALUES ('concurrency'), ('rate')) AS gate (kind)
    CROSS JOIN LATERAL (
        SELECT w.job_id FROM {p}gate_job AS w
        WHERE w.kind = gate.kind AND w.key = 'queue:' || OLD.queue AND w.line IS NOT NULL
        LIMIT 1
    ) AS first;
    RETURN NEW;
END $$;

CREATE TRIGGER job_left_queue BEFORE UPDATE OF queue ON {p}job FOR EACH ROW
WHEN (NEW.marks & 1 <> 0 AND OLD.queue <> NEW.queue)
EXECUTE FUNCTION {p}leave_queue();
