-- Batches, chains and flows: jobs that belong together, and which of them come after which. Who
-- adds to them appends rows; all else is written by whoever admits, one at a time.

-- Ids are drawn from those of jobs, so that a node of a flow may be a job or a flow. ending says why
-- what is left is cancelled, sweep what is done to all nodes beyond position, slice by slice.
CREATE TABLE {p}flow (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT,
    policy TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'running',
    ending TEXT,
    sweep TEXT,
    position INTEGER NOT NULL DEFAULT 0,
    total INTEGER NOT NULL,
    succeeded INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    deadline_at INTEGER,
    due_at INTEGER,
    finished_at INTEGER,
    CHECK ((finished_at IS NULL) = (state = 'running'))
) STRICT;
CREATE INDEX {p}flow_due ON {p}flow (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX {p}flow_empty ON {p}flow (finished_at) WHERE total = 0;

-- One row a job or flow that has to do with others; flow_id is null for a flow on its own. settled
-- is how it ended, once that has been counted; waits is how many nodes it still comes after.
CREATE TABLE {p}member (
    node_id INTEGER PRIMARY KEY,
    flow_id INTEGER,
    role TEXT NOT NULL,
    waits INTEGER NOT NULL DEFAULT 0,
    settled TEXT
) STRICT;
CREATE INDEX {p}member_flow ON {p}member (flow_id, node_id) WHERE flow_id IS NOT NULL;

-- need says which end of the parent lets the child go; met is set once it has been judged.
CREATE TABLE {p}edge (
    child_id INTEGER NOT NULL,
    parent_id INTEGER NOT NULL,
    need TEXT NOT NULL,
    met INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (child_id, parent_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX {p}edge_open ON {p}edge (parent_id, child_id) WHERE met = 0;

-- Where in the child's arguments the parent's result goes: a JSON pointer.
CREATE TABLE {p}place (
    child_id INTEGER NOT NULL,
    pointer TEXT NOT NULL,
    parent_id INTEGER NOT NULL,
    PRIMARY KEY (child_id, pointer)
) STRICT, WITHOUT ROWID;

-- What was added to flows that run; folded into their totals.
CREATE TABLE {p}growth (flow_id INTEGER NOT NULL, n INTEGER NOT NULL) STRICT;
CREATE INDEX {p}growth_flow ON {p}growth (flow_id);
