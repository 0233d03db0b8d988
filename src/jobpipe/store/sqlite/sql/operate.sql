-- name: begin_operation
INSERT INTO {p}operation (action, q, params, who, via, request_id, created_at, state, last_id)
SELECT
    :action, :q, :params, :who, :via, :request_id, :now, 'running',
    coalesce((SELECT max(id) FROM {p}job), 0)
RETURNING *

-- name: operation
SELECT * FROM {p}operation WHERE id = :id

-- name: operations
SELECT * FROM {p}operation
WHERE id < :before AND (:state IS NULL OR state = :state) ORDER BY id DESC LIMIT :limit

-- name: running_operations
SELECT id FROM {p}operation WHERE finished_at IS NULL ORDER BY id

-- name: hold_operation
-- Whoever writes is alone.
SELECT * FROM {p}operation WHERE id = :id AND finished_at IS NULL

-- name: lock_operation
SELECT * FROM {p}operation WHERE id = :id

-- name: note_operation
UPDATE {p}operation
SET state = :state, position = :position, matched = :matched, changed = :changed,
    refused = :refused, error = :error, finished_at = iif(:state = 'running', NULL, :now)
WHERE id = :id
RETURNING *

-- name: ids_above
-- A slice of the key, oldest first.
SELECT id FROM {p}job WHERE id > :after AND id <= :last_id ORDER BY id LIMIT :limit

-- name: shelf_ids_above
-- A slice of one shelf, oldest first.
SELECT id FROM {p}job
WHERE shelf = :state AND id > :after AND id <= :last_id ORDER BY id LIMIT :limit

-- name: matching
SELECT j.id, j.state, j.queue, j.marks
FROM json_each(:ids) AS wanted
CROSS JOIN {p}job AS j ON j.id = wanted.value
WHERE {matches}
ORDER BY j.id

-- name: hold_matching
-- Whoever writes is alone.
SELECT j.id, j.state, j.queue, j.marks
FROM json_each(:ids) AS wanted
CROSS JOIN {p}job AS j ON j.id = wanted.value
WHERE {matches}
ORDER BY j.id

-- name: prune_operations
DELETE FROM {p}operation
WHERE id IN (
    SELECT id FROM {p}operation WHERE finished_at < :now - :age_us ORDER BY id LIMIT :limit
)
RETURNING id
