-- Fair shares of a queue between tenants. All of these rows are written by whoever admits, one at a
-- time, but for the weights.

-- tag is the virtual time at which its next job begins, since its first job in the line when it
-- began to wait; weight is null for the usual one. Before (urgency, place) its line is empty: so
-- whoever looks for the head of a line need not walk over what a pinned snapshot keeps.
CREATE TABLE {p}tenant (
    queue TEXT NOT NULL,
    name TEXT NOT NULL,
    weight INTEGER,
    tag INTEGER NOT NULL DEFAULT 0,
    since INTEGER NOT NULL DEFAULT 0,
    waiting INTEGER NOT NULL DEFAULT 0,
    urgency INTEGER NOT NULL DEFAULT 0,
    place INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (queue, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX {p}tenant_next ON {p}tenant (queue, tag, since) WHERE waiting > 0;
CREATE INDEX {p}tenant_idle ON {p}tenant (queue, tag) WHERE waiting = 0 AND weight IS NULL;

-- clock is the virtual time of the queue: the tag of what was let go last. Nobody who waits has a
-- tag below low, and of let_go no row below first counts any more.
CREATE TABLE {p}fair_queue (
    queue TEXT PRIMARY KEY,
    clock INTEGER NOT NULL DEFAULT 0,
    low INTEGER NOT NULL DEFAULT 0,
    first INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- The lines: jobs that wait for their turn. urgency is the priority below zero: the lowest is first.
CREATE TABLE {p}line (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id INTEGER NOT NULL UNIQUE,
    queue TEXT NOT NULL,
    tenant TEXT NOT NULL,
    urgency INTEGER NOT NULL
) STRICT;
CREATE INDEX {p}line_next ON {p}line (queue, tenant, urgency, place);

-- Jobs that had their turn and have not started; a row counts while its token is the job's own.
CREATE TABLE {p}let_go (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id INTEGER NOT NULL UNIQUE,
    queue TEXT NOT NULL,
    tenant TEXT NOT NULL,
    token INTEGER NOT NULL
) STRICT;
CREATE INDEX {p}let_go_queue ON {p}let_go (queue, place);

-- Jobs on their way to their lines: only appended, and eaten tenant by tenant, so that who has
-- thousands on the way keeps nobody waiting.
CREATE TABLE {p}arrival (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id INTEGER NOT NULL,
    queue TEXT NOT NULL,
    tenant TEXT NOT NULL
) STRICT;
CREATE INDEX {p}arrival_next ON {p}arrival (queue, tenant, id);

DROP TRIGGER {p}job_first_look;
CREATE TRIGGER {p}job_first_look AFTER INSERT ON {p}job
WHEN NEW.marks IS NOT NULL AND NEW.state = 'blocked' AND (NEW.tenant IS NULL OR NEW.marks & 8 <> 0)
BEGIN
    INSERT INTO {p}look (job_id) VALUES (NEW.id);
END;

CREATE TRIGGER {p}job_arrival AFTER INSERT ON {p}job
WHEN NEW.tenant IS NOT NULL AND NEW.state = 'blocked' AND NEW.marks & 8 = 0
BEGIN
    INSERT INTO {p}arrival (job_id, queue, tenant) VALUES (NEW.id, NEW.queue, NEW.tenant);
END;

-- Who waits in another lane now waits in another line.
CREATE TRIGGER {p}job_moved AFTER UPDATE OF queue, priority ON {p}job
WHEN NEW.tenant IS NOT NULL AND (OLD.queue <> NEW.queue OR OLD.priority <> NEW.priority)
BEGIN
    INSERT INTO {p}look (job_id) VALUES (NEW.id);
END;
