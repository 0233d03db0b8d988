-- The first schema. Times are microseconds since 1970 (UTC); payloads are carried, not searched.

CREATE TABLE {p}store (id text NOT NULL, created_at bigint NOT NULL);
INSERT INTO {p}store
VALUES (replace(CAST(gen_random_uuid() AS text), '-', ''), CAST(extract(epoch FROM now()) * 1000000 AS bigint));

CREATE SEQUENCE {p}rank AS bigint CACHE 1;

-- No index but the partial ones below mentions a column that a successful finish changes, so that
-- the finish is a HOT update; fillfactor leaves room for a row's three versions on one page.
CREATE TABLE {p}job (
    id bigint PRIMARY KEY,
    rank bigint,
    due_at bigint,
    expires_at bigint,
    created_at bigint NOT NULL,
    run_at bigint,
    queued_at bigint,
    started_at bigint,
    finished_at bigint,
    cancel_requested_at bigint,
    timeout_us bigint,
    worker_id bigint,
    token bigint NOT NULL DEFAULT 0,
    attempt integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL,
    losses integer NOT NULL DEFAULT 0,
    max_losses integer NOT NULL,
    reruns integer NOT NULL DEFAULT 0,
    priority smallint NOT NULL,
    state text NOT NULL,
    task text NOT NULL,
    queue text NOT NULL,
    reason text,
    shelf text,
    waiting_key text,
    idempotency_key text,
    args json NOT NULL,
    result json,
    error json,
    tags json,
    meta json,
    CONSTRAINT job_rank CHECK ((rank IS NOT NULL) = (state = 'queued')),
    CONSTRAINT job_due CHECK ((due_at IS NOT NULL) = (state IN ('scheduled', 'retrying'))),
    CONSTRAINT job_finished
        CHECK ((finished_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled'))),
    CONSTRAINT job_shelf CHECK (
        shelf IS NOT DISTINCT FROM
        CASE WHEN state IN ('blocked', 'parked', 'failed', 'cancelled') THEN state END
    ),
    CONSTRAINT job_reason
        CHECK ((reason IS NOT NULL) = (state IN ('parked', 'failed', 'cancelled')))
) WITH (fillfactor = 30, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);

CREATE INDEX job_claim ON {p}job (queue, priority, rank) WHERE rank IS NOT NULL;
CREATE INDEX job_due ON {p}job (queue, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX job_expiry ON {p}job (expires_at) WHERE rank IS NOT NULL AND expires_at IS NOT NULL;
CREATE INDEX job_shelf ON {p}job (shelf, id) WHERE shelf IS NOT NULL;
CREATE UNIQUE INDEX job_waiting_key ON {p}job (waiting_key) WHERE waiting_key IS NOT NULL;

CREATE FUNCTION {p}refuse_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'jobpipe: job % may not go from % to %', NEW.id, OLD.state, NEW.state
        USING ERRCODE = 'check_violation';
END $$;

CREATE FUNCTION {p}refuse_first_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'jobpipe: a job cannot begin as %', NEW.state
        USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER job_first_state BEFORE INSERT ON {p}job FOR EACH ROW
WHEN (NEW.state NOT IN ('blocked', 'scheduled', 'queued'))
EXECUTE FUNCTION {p}refuse_first_state();

-- The condition is judged without entering the function, so a legal step pays next to nothing.
CREATE TRIGGER job_edges BEFORE UPDATE ON {p}job FOR EACH ROW
WHEN (OLD.state <> NEW.state AND NOT (
    (OLD.state = 'blocked' AND NEW.state IN ('scheduled', 'queued', 'failed', 'cancelled'))
    OR (OLD.state = 'scheduled' AND NEW.state IN ('queued', 'failed', 'cancelled'))
    OR (OLD.state = 'queued' AND NEW.state IN ('scheduled', 'running', 'failed', 'cancelled'))
    OR (OLD.state = 'running' AND NEW.state IN ('scheduled', 'queued', 'retrying', 'parked', 'succeeded', 'failed', 'cancelled'))
    OR (OLD.state = 'retrying' AND NEW.state IN ('scheduled', 'queued', 'failed', 'cancelled'))
    OR (OLD.state = 'parked' AND NEW.state IN ('queued', 'failed', 'cancelled'))
    OR (OLD.state IN ('succeeded', 'failed', 'cancelled') AND NEW.state IN ('blocked', 'scheduled', 'queued') AND NEW.reruns = OLD.reruns + 1)))
EXECUTE FUNCTION {p}refuse_state();

CREATE TABLE {p}attempt (
    job_id bigint NOT NULL,
    token bigint NOT NULL,
    number integer NOT NULL,
    outcome text NOT NULL,
    reason text,
    worker text,
    host text,
    pid bigint,
    started_at bigint,
    finished_at bigint,
    error json,
    PRIMARY KEY (job_id, token)
);

CREATE TABLE {p}worker (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    host text NOT NULL,
    pid bigint NOT NULL,
    pid_started text NOT NULL,
    slots integer NOT NULL,
    queues json NOT NULL,
    started_at bigint NOT NULL,
    seen_at bigint NOT NULL,
    lease_until bigint NOT NULL,
    ended_at bigint,
    frontier json
) WITH (fillfactor = 50);
CREATE INDEX worker_alive ON {p}worker (id) WHERE ended_at IS NULL;

-- What a worker holds, one row a claim: never updated, deleted in bulk with a later claim.
CREATE TABLE {p}claim (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    worker_id bigint NOT NULL,
    job_ids bigint[] NOT NULL,
    tokens bigint[] NOT NULL,
    ranks bigint[] NOT NULL
);

CREATE TABLE {p}cancel_request (
    job_id bigint PRIMARY KEY,
    token bigint NOT NULL,
    worker_id bigint NOT NULL
);

CREATE TABLE {p}idempotency (
    key text PRIMARY KEY,
    job_id bigint NOT NULL,
    fingerprint text NOT NULL
);

-- Lanes are only ever added, twice at worst: no unique index, so that two enqueues never wait.
CREATE TABLE {p}lane (queue text NOT NULL, priority smallint NOT NULL);

CREATE TABLE {p}queue (name text PRIMARY KEY, paused_at bigint, paused_reason text);

CREATE TABLE {p}tally (queue text NOT NULL, state text NOT NULL, n bigint NOT NULL);

CREATE TABLE {p}duty (
    name text PRIMARY KEY,
    next_at bigint NOT NULL,
    position bigint NOT NULL DEFAULT 0
);
INSERT INTO {p}duty (name, next_at) VALUES ('prune', 0), ('rollup', 0);
