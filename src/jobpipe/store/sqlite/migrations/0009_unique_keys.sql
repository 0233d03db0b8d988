-- Unique keys. A waiting key stands in the row of its job; live and timed keys are rows here, one
-- for each job that has ever asked for one, so that a re-run knows what to ask for again.

-- for_us is null for a live key: its holder's state tells whether it counts.
CREATE TABLE {p}held_key (
    job_id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    for_us INTEGER,
    until INTEGER,
    holds INTEGER NOT NULL,
    CONSTRAINT held_key_span CHECK ((for_us IS NULL) = (until IS NULL))
) STRICT;
CREATE UNIQUE INDEX {p}held_key_holds ON {p}held_key (key) WHERE holds;

-- Whatever statement takes a job out of waiting, its waiting key is free with it.
CREATE TRIGGER {p}job_waiting_key AFTER UPDATE OF state ON {p}job
WHEN NEW.waiting_key IS NOT NULL
    AND NEW.state <> 'blocked' AND NEW.state <> 'scheduled' AND NEW.state <> 'queued'
BEGIN
    UPDATE {p}job SET waiting_key = NULL WHERE id = NEW.id;
END;
