-- The same guards of the states, without IN: SQLite builds the set of a longer IN anew for every
-- row, which cost more than the update that is guarded.

DROP TRIGGER {p}job_first_state;
CREATE TRIGGER {p}job_first_state AFTER INSERT ON {p}job
WHEN NEW.state <> 'blocked' AND NEW.state <> 'scheduled' AND NEW.state <> 'queued'
BEGIN
    SELECT RAISE(ABORT, 'jobpipe: a job cannot begin in this state');
END;

DROP TRIGGER {p}job_edges;
CREATE TRIGGER {p}job_edges AFTER UPDATE OF state ON {p}job
WHEN OLD.state <> NEW.state AND NOT (
    (OLD.state = 'blocked' AND (NEW.state = 'scheduled' OR NEW.state = 'queued' OR NEW.state = 'failed' OR NEW.state = 'cancelled'))
    OR (OLD.state = 'scheduled' AND (NEW.state = 'queued' OR NEW.state = 'failed' OR NEW.state = 'cancelled'))
    OR (OLD.state = 'queued' AND (NEW.state = 'scheduled' OR NEW.state = 'running' OR NEW.state = 'failed' OR NEW.state = 'cancelled'))
    OR (OLD.state = 'running' AND (NEW.state = 'scheduled' OR NEW.state = 'queued' OR NEW.state = 'retrying' OR NEW.state = 'parked' OR NEW.state = 'succeeded' OR NEW.state = 'failed' OR NEW.state = 'cancelled'))
    OR (OLD.state = 'retrying' AND (NEW.state = 'scheduled' OR NEW.state = 'queued' OR NEW.state = 'failed' OR NEW.state = 'cancelled'))
    OR (OLD.state = 'parked' AND (NEW.state = 'queued' OR NEW.state = 'failed' OR NEW.state = 'cancelled'))
    OR ((OLD.state = 'succeeded' OR OLD.state = 'failed' OR OLD.state = 'cancelled') AND (NEW.state = 'blocked' OR NEW.state = 'scheduled' OR NEW.state = 'queued') AND NEW.reruns = OLD.reruns + 1))
BEGIN
    SELECT RAISE(ABORT, 'jobpipe: this change of state is not legal');
END;

-- The record of a claim as one array a column: a number in it is found without parsing a row of
-- its own.
ALTER TABLE {p}claim RENAME COLUMN jobs TO job_ids;
ALTER TABLE {p}claim ADD COLUMN tokens TEXT NOT NULL DEFAULT '[]';
ALTER TABLE {p}claim ADD COLUMN ranks TEXT NOT NULL DEFAULT '[]';
UPDATE {p}claim
SET (job_ids, tokens, ranks) = (
    SELECT
        json_group_array(value ->> 0), json_group_array(value ->> 1), json_group_array(value ->> 2)
    FROM json_each(job_ids)
);
