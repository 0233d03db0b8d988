-- name: begin_operation
INSERT INTO {p}operation (action, q, params, who, via, request_id, created_at, state, last_id)
SELECT
    CAST(:action AS text), CAST(:q AS text), CAST(:params AS text), CAST(:who AS text),
    CAST(:via AS text), CAST(:request_id AS text), :now, 'running',
    coalesce((SELECT max(id) FROM {p}job), 0)
RETURNING *

-- name: operation
SELECT * FROM {p}operation WHERE id = CAST(:id AS bigint)

-- name: operations
SELECT * FROM {p}operation
WHERE id < CAST(:before AS bigint)
    AND (CAST(:state AS text) IS NULL OR state = CAST(:state AS text))
ORDER BY id DESC LIMIT CAST(:limit AS bigint)

-- name: running_operations
SELECT id FROM {p}operation WHERE finished_at IS NULL ORDER BY id

-- name: hold_operation
-- Locked until the end of the transaction; nobody waits for it but who cancels it.
SELECT * FROM {p}operation
WHERE id = CAST(:id AS bigint) AND finished_at IS NULL
FOR UPDATE SKIP LOCKED

-- name: lock_operation
SELECT * FROM {p}operation WHERE id = CAST(:id AS bigint) FOR UPDATE

-- name: note_operation
UPDATE {p}operation
SET state = CAST(:state AS text), position = CAST(:position AS bigint),
    matched = CAST(:matched AS bigint), changed = CAST(:changed AS bigint),
    refused = CAST(:refused AS bigint), error = CAST(:error AS text),
    finished_at = CASE WHEN CAST(:state AS text) <> 'running' THEN :now END
WHERE id = CAST(:id AS bigint)
RETURNING *

-- name: ids_above
-- A slice of the key, oldest first.
SELECT id FROM {p}job
WHERE id > CAST(:after AS bigint) AND id <= CAST(:last_id AS bigint)
ORDER BY id LIMIT CAST(:limit AS bigint)

-- name: shelf_ids_above
-- A slice of one shelf, oldest first.
SELECT id FROM {p}job
WHERE shelf = CAST(:state AS text)
    AND id > CAST(:after AS bigint) AND id <= CAST(:last_id AS bigint)
ORDER BY id LIMIT CAST(:limit AS bigint)

-- name: matching
SELECT j.id, j.state, j.queue, j.marks
FROM {p}job AS j
WHERE j.id = ANY (CAST(:ids AS bigint[])) AND {matches}
ORDER BY j.id

-- name: hold_matching
-- Locked in the order of their ids; what changed before that is judged anew. Hence the SELECT around
-- the filter: as a join of its own it would not be.
SELECT j.id, j.state, j.queue, j.marks
FROM {p}job AS j
WHERE j.id = ANY (CAST(:ids AS bigint[])) AND (SELECT {matches})
ORDER BY j.id
FOR UPDATE OF j

-- name: prune_operations
DELETE FROM {p}operation
WHERE id = ANY (ARRAY(
    SELECT id FROM {p}operation WHERE finished_at < :now - CAST(:age_us AS bigint)
    ORDER BY id LIMIT CAST(:limit AS bigint)
))
RETURNING id
