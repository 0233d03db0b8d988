-- Orders about all jobs that a filter means. A worker carries one out slice by slice: position is the
-- id up to which it is done, and jobs beyond last_id are younger than the order.
CREATE TABLE {p}operation (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    action TEXT NOT NULL,
    q TEXT NOT NULL,
    params TEXT NOT NULL,
    who TEXT NOT NULL,
    via TEXT NOT NULL,
    request_id TEXT,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    state TEXT NOT NULL,
    matched INTEGER NOT NULL DEFAULT 0,
    changed INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0,
    position INTEGER NOT NULL DEFAULT 0,
    last_id INTEGER NOT NULL,
    error TEXT,
    CHECK ((finished_at IS NULL) = (state = 'running'))
) STRICT;
CREATE INDEX {p}operation_running ON {p}operation (id) WHERE finished_at IS NULL;
