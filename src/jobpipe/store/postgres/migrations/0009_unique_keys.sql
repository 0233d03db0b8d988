-- Unique keys. A waiting key stands in the row of its job; live and timed keys are rows here, one
-- for each job that has ever asked for one, so that a re-run knows what to ask for again.

-- for_us is null for a live key: its holder's state tells whether it counts.
CREATE TABLE {p}held_key (
    job_id bigint PRIMARY KEY,
    key text NOT NULL,
    for_us bigint,
    until bigint,
    holds boolean NOT NULL,
    CONSTRAINT held_key_span CHECK ((for_us IS NULL) = (until IS NULL))
);
CREATE UNIQUE INDEX held_key_holds ON {p}held_key (key) WHERE holds;

-- Whatever statement takes a job out of waiting, its waiting key is free with it.
CREATE FUNCTION {p}free_waiting_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.waiting_key := NULL;
    RETURN NEW;
END $$;

CREATE TRIGGER job_waiting_key BEFORE UPDATE ON {p}job FOR EACH ROW
WHEN (NEW.waiting_key IS NOT NULL AND OLD.state <> NEW.state
    AND NEW.state NOT IN ('blocked', 'scheduled', 'queued'))
EXECUTE FUNCTION {p}free_waiting_key();

-- Whoever is to be re-run takes his key as he had it. A conflict is an answer here and no error: an
-- update knows no ON CONFLICT.
CREATE FUNCTION {p}take_waiting_key(wanted bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE {p}job SET waiting_key = unique_key WHERE id = wanted;
    RETURN true;
EXCEPTION WHEN unique_violation THEN
    RETURN false;
END $$;

-- The row is another one afterwards: whoever has judged the old one is told by that.
CREATE FUNCTION {p}take_held_key(wanted bigint, taken_at bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    own record;
BEGIN
    DELETE FROM {p}held_key WHERE job_id = wanted RETURNING key, for_us INTO own;
    INSERT INTO {p}held_key (job_id, key, for_us, until, holds)
    VALUES (wanted, own.key, own.for_us, taken_at + own.for_us, true);
    RETURN true;
EXCEPTION WHEN unique_violation THEN
    RETURN false;
END $$;
