-- Batches, chains and flows: jobs that belong together, and which of them come after which. Who
-- adds to them appends rows; all else is written by whoever admits, one at a time.

-- Ids are drawn from those of jobs, so that a node of a flow may be a job or a flow. ending says why
-- what is left is cancelled, sweep what is done to all nodes beyond position, slice by slice.
CREATE TABLE {p}flow (
    id bigint PRIMARY KEY,
    kind text NOT NULL,
    name text,
    policy text NOT NULL,
    state text NOT NULL DEFAULT 'running',
    ending text,
    sweep text,
    position bigint NOT NULL DEFAULT 0,
    total bigint NOT NULL,
    succeeded bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    created_at bigint NOT NULL,
    deadline_at bigint,
    due_at bigint,
    finished_at bigint,
    CHECK ((finished_at IS NULL) = (state = 'running'))
) WITH (fillfactor = 50);
CREATE INDEX flow_due ON {p}flow (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX flow_empty ON {p}flow (finished_at) WHERE total = 0;

-- One row a job or flow that has to do with others; flow_id is null for a flow on its own. settled
-- is how it ended, once that has been counted; waits is how many nodes it still comes after.
CREATE TABLE {p}member (
    node_id bigint PRIMARY KEY,
    flow_id bigint,
    role text NOT NULL,
    waits integer NOT NULL DEFAULT 0,
    settled text
) WITH (fillfactor = 50);
CREATE INDEX member_flow ON {p}member (flow_id, node_id) WHERE flow_id IS NOT NULL;

-- need says which end of the parent lets the child go; met is set once it has been judged.
CREATE TABLE {p}edge (
    child_id bigint NOT NULL,
    parent_id bigint NOT NULL,
    need text NOT NULL,
    met boolean NOT NULL DEFAULT false,
    PRIMARY KEY (child_id, parent_id)
);
CREATE INDEX edge_open ON {p}edge (parent_id, child_id) WHERE NOT met;

-- Where in the child's arguments the parent's result goes: a JSON pointer.
CREATE TABLE {p}place (
    child_id bigint NOT NULL,
    pointer text NOT NULL,
    parent_id bigint NOT NULL,
    PRIMARY KEY (child_id, pointer)
);

-- What was added to flows that run; folded into their totals.
CREATE TABLE {p}growth (flow_id bigint NOT NULL, n bigint NOT NULL);
CREATE INDEX growth_flow ON {p}growth (flow_id);
