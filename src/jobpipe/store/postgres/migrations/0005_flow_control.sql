-- Jobs that wait for something else than a worker: gates, other jobs. Whoever has no such wish pays
-- one comparison a change of state.

-- marks says who minds what becomes of a job (see model/marks.py): NULL for nobody.
ALTER TABLE {p}job
    ADD COLUMN marks smallint,
    ADD COLUMN version integer,
    ADD COLUMN group_key text,
    ADD COLUMN tenant text,
    ADD COLUMN unique_key text,
    ADD COLUMN blocked_on text;

-- Only appended, and eaten by whoever admits: jobs that came to a gate, or left what somebody
-- waits for.
CREATE TABLE {p}look (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, job_id bigint NOT NULL);

INSERT INTO {p}duty (name, next_at) VALUES ('admit', 4611686018427387904);

DROP TRIGGER job_edges ON {p}job;
CREATE TRIGGER job_edges BEFORE UPDATE ON {p}job FOR EACH ROW
WHEN (OLD.state <> NEW.state AND NOT ((OLD.state = 'blocked' AND NEW.state IN ('scheduled', 'queued', 'failed', 'cancelled')) OR (OLD.state = 'scheduled' AND NEW.state IN ('blocked', 'queued', 'failed', 'cancelled')) OR (OLD.state = 'queued' AND NEW.state IN ('blocked', 'scheduled', 'running', 'failed', 'cancelled')) OR (OLD.state = 'running' AND NEW.state IN ('blocked', 'scheduled', 'queued', 'retrying', 'parked', 'succeeded', 'failed', 'cancelled')) OR (OLD.state = 'retrying' AND NEW.state IN ('blocked', 'scheduled', 'queued', 'failed', 'cancelled')) OR (OLD.state = 'parked' AND NEW.state IN ('blocked', 'queued', 'failed', 'cancelled')) OR (OLD.state IN ('succeeded', 'failed', 'cancelled') AND NEW.state IN ('blocked', 'scheduled', 'queued') AND NEW.reruns = OLD.reruns + 1)))
EXECUTE FUNCTION {p}refuse_state();

CREATE FUNCTION {p}note_look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {p}look (job_id) VALUES (NEW.id);
    RETURN NEW;
END $$;

-- Whatever way a job takes, whoever minds hears of it in the same transaction. 2 minds starts too.
CREATE TRIGGER job_look BEFORE UPDATE ON {p}job FOR EACH ROW
WHEN (NEW.marks IS NOT NULL AND OLD.state <> NEW.state
    AND (NEW.state NOT IN ('queued', 'running') OR NEW.marks & 2 <> 0))
EXECUTE FUNCTION {p}note_look();

CREATE TRIGGER job_first_look BEFORE INSERT ON {p}job FOR EACH ROW
WHEN (NEW.marks IS NOT NULL AND NEW.state = 'blocked')
EXECUTE FUNCTION {p}note_look();
