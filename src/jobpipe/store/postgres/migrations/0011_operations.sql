-- Orders about all jobs that a filter means. A worker carries one out slice by slice: position is the
-- id up to which it is done, and jobs beyond last_id are younger than the order.
CREATE TABLE {p}operation (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action text NOT NULL,
    q text NOT NULL,
    params text NOT NULL,
    who text NOT NULL,
    via text NOT NULL,
    request_id text,
    created_at bigint NOT NULL,
    finished_at bigint,
    state text NOT NULL,
    matched bigint NOT NULL DEFAULT 0,
    changed bigint NOT NULL DEFAULT 0,
    refused bigint NOT NULL DEFAULT 0,
    position bigint NOT NULL DEFAULT 0,
    last_id bigint NOT NULL,
    error text,
    CONSTRAINT operation_finished CHECK ((finished_at IS NULL) = (state = 'running'))
);
CREATE INDEX operation_running ON {p}operation (id) WHERE finished_at IS NULL;
