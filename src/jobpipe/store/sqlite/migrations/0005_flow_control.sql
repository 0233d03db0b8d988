-- Jobs that wait for something else than a worker: gates, other jobs. Whoever has no such wish pays
-- one comparison a change of state.

-- marks says who minds what becomes of a job (see model/marks.py): NULL for nobody.
ALTER TABLE {p}job ADD COLUMN marks INTEGER;
ALTER TABLE {p}job ADD COLUMN version INTEGER;
ALTER TABLE {p}job ADD COLUMN group_key TEXT;
ALTER TABLE {p}job ADD COLUMN tenant TEXT;
ALTER TABLE {p}job ADD COLUMN unique_key TEXT;
ALTER TABLE {p}job ADD COLUMN blocked_on TEXT;

-- Only appended, and eaten by whoever admits: jobs that came to a gate, or left what somebody
-- waits for.
CREATE TABLE {p}look (id INTEGER PRIMARY KEY AUTOINCREMENT, job_id INTEGER NOT NULL) STRICT;

INSERT INTO {p}duty (name, next_at) VALUES ('admit', 4611686018427387904);

DROP TRIGGER {p}job_edges;
CREATE TRIGGER {p}job_edges AFTER UPDATE OF state ON {p}job
WHEN OLD.state <> NEW.state AND NOT ((OLD.state = 'blocked' AND (NEW.state = 'scheduled' OR NEW.state = 'queued' OR NEW.state = 'failed' OR NEW.state = 'cancelled')) OR (OLD.state = 'scheduled' AND (NEW.state = 'blocked' OR NEW.state = 'queued' OR NEW.state = 'failed' OR NEW.state = 'cancelled')) OR (OLD.state = 'queued' AND (NEW.state = 'blocked' OR NEW.state = 'scheduled' OR NEW.state = 'running' OR NEW.state = 'failed' OR NEW.state = 'cancelled')) OR (OLD.state = 'running' AND (NEW.state = 'blocked' OR NEW.state = 'scheduled' OR NEW.state = 'queued' OR NEW.state = 'retrying' OR NEW.state = 'parked' OR NEW.state = 'succeeded' OR NEW.state = 'failed' OR NEW.state = 'cancelled')) OR (OLD.state = 'retrying' AND (NEW.state = 'blocked' OR NEW.state = 'scheduled' OR NEW.state = 'queued' OR NEW.state = 'failed' OR NEW.state = 'cancelled')) OR (OLD.state = 'parked' AND (NEW.state = 'blocked' OR NEW.state = 'queued' OR NEW.state = 'failed' OR NEW.state = 'cancelled')) OR ((OLD.state = 'succeeded' OR OLD.state = 'failed' OR OLD.state = 'cancelled') AND (NEW.state = 'blocked' OR NEW.state = 'scheduled' OR NEW.state = 'queued') AND NEW.reruns = OLD.reruns + 1))
BEGIN
    SELECT RAISE(ABORT, 'jobpipe: this change of state is not legal');
END;

-- Whatever way a job takes, whoever minds hears of it in the same transaction. 2 minds starts too.
CREATE TRIGGER {p}job_look AFTER UPDATE OF state ON {p}job
WHEN NEW.marks IS NOT NULL AND OLD.state <> NEW.state
    AND ((NEW.state <> 'queued' AND NEW.state <> 'running') OR NEW.marks & 2 <> 0)
BEGIN
    INSERT INTO {p}look (job_id) VALUES (NEW.id);
END;

CREATE TRIGGER {p}job_first_look AFTER INSERT ON {p}job
WHEN NEW.marks IS NOT NULL AND NEW.state = 'blocked'
BEGIN
    INSERT INTO {p}look (job_id) VALUES (NEW.id);
END;
