-- What a running job says: its log, how far it is, and where its next attempt goes on.

CREATE TABLE {p}log (
    job_id bigint NOT NULL,
    token bigint NOT NULL,
    number integer NOT NULL,
    at bigint NOT NULL,
    level smallint NOT NULL,
    logger text NOT NULL,
    message text NOT NULL,
    fields json,
    PRIMARY KEY (job_id, token, number)
);

-- Updated again and again, never in an indexed column: fillfactor leaves room for the next version
-- on the same page, and pruning of dead versions keeps the table small.
CREATE TABLE {p}progress (
    job_id bigint PRIMARY KEY,
    token bigint NOT NULL,
    at bigint NOT NULL,
    done double precision NOT NULL,
    total double precision,
    note text
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE {p}checkpoint (
    job_id bigint PRIMARY KEY,
    token bigint NOT NULL,
    at bigint NOT NULL,
    state json NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

-- A suspect was running when its worker died: it runs again alone. NULL means no.
ALTER TABLE {p}job ADD COLUMN suspect boolean;

ALTER TABLE {p}worker ADD COLUMN supervisor_pid bigint, ADD COLUMN supervisor_started text;
