-- Fair shares of a queue between tenants. All of these rows are written by whoever admits, one at a
-- time, but for the weights.

-- tag is the virtual time at which its next job begins, since its first job in the line when it
-- began to wait; weight is null for the usual one. Before (urgency, place) its line is empty: so
-- whoever looks for the head of a line need not walk over what a pinned snapshot keeps.
CREATE TABLE {p}tenant (
    queue text NOT NULL,
    name text NOT NULL,
    weight integer,
    tag bigint NOT NULL DEFAULT 0,
    since bigint NOT NULL DEFAULT 0,
    waiting bigint NOT NULL DEFAULT 0,
    urgency smallint NOT NULL DEFAULT 0,
    place bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (queue, name)
);
CREATE INDEX tenant_next ON {p}tenant (queue, tag, since) WHERE waiting > 0;
CREATE INDEX tenant_idle ON {p}tenant (queue, tag) WHERE waiting = 0 AND weight IS NULL;

-- clock is the virtual time of the queue: the tag of what was let go last. Nobody who waits has a
-- tag below low, and of let_go no row below first counts any more.
CREATE TABLE {p}fair_queue (
    queue text PRIMARY KEY,
    clock bigint NOT NULL DEFAULT 0,
    low bigint NOT NULL DEFAULT 0,
    first bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- The lines: jobs that wait for their turn. urgency is the priority below zero: the lowest is first.
CREATE TABLE {p}line (
    place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL UNIQUE,
    queue text NOT NULL,
    tenant text NOT NULL,
    urgency smallint NOT NULL
);
CREATE INDEX line_next ON {p}line (queue, tenant, urgency, place);

-- Jobs that had their turn and have not started; a row counts while its token is the job's own.
CREATE TABLE {p}let_go (
    place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL UNIQUE,
    queue text NOT NULL,
    tenant text NOT NULL,
    token bigint NOT NULL
);
CREATE INDEX let_go_queue ON {p}let_go (queue, place);

-- Jobs on their way to their lines: only appended, and eaten tenant by tenant, so that who has
-- thousands on the way keeps nobody waiting.
CREATE TABLE {p}arrival (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL,
    queue text NOT NULL,
    tenant text NOT NULL
);
CREATE INDEX arrival_next ON {p}arrival (queue, tenant, id);

CREATE FUNCTION {p}note_arrival() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {p}arrival (job_id, queue, tenant) VALUES (NEW.id, NEW.queue, NEW.tenant);
    RETURN NEW;
END $$;

DROP TRIGGER job_first_look ON {p}job;
CREATE TRIGGER job_first_look BEFORE INSERT ON {p}job FOR EACH ROW
WHEN (NEW.marks IS NOT NULL AND NEW.state = 'blocked'
    AND (NEW.tenant IS NULL OR NEW.marks & 8 <> 0))
EXECUTE FUNCTION {p}note_look();

CREATE TRIGGER job_arrival BEFORE INSERT ON {p}job FOR EACH ROW
WHEN (NEW.tenant IS NOT NULL AND NEW.state = 'blocked' AND NEW.marks & 8 = 0)
EXECUTE FUNCTION {p}note_arrival();

-- Who waits in another lane now waits in another line.
CREATE TRIGGER job_moved BEFORE UPDATE OF queue, priority ON {p}job FOR EACH ROW
WHEN (NEW.tenant IS NOT NULL AND (OLD.queue <> NEW.queue OR OLD.priority <> NEW.priority))
EXECUTE FUNCTION {p}note_look();
