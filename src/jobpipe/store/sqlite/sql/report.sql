-- name: write_lines
-- A line that is already there was written before a connection broke.
INSERT INTO {p}log (job_id, token, number, at, level, logger, message, fields)
SELECT
    j.id, j.token, e.value ->> 2, :now - (e.value ->> 3), e.value ->> 4, e.value ->> 5,
    e.value ->> 6, e.value ->> 7
FROM json_each(:rows) AS e
CROSS JOIN {p}job AS j ON j.id = e.value ->> 0
WHERE j.token = e.value ->> 1 AND j.state = 'running'
ON CONFLICT (job_id, token, number) DO NOTHING;
SELECT DISTINCT j.id AS job_id, j.token
FROM json_each(:rows) AS e
CROSS JOIN {p}job AS j ON j.id = e.value ->> 0
WHERE j.token = e.value ->> 1 AND j.state = 'running'

-- name: write_progress
-- The writer is alone, so no newer attempt can have written yet.
INSERT INTO {p}progress (job_id, token, at, done, total, note)
SELECT j.id, j.token, :now, e.value ->> 2, e.value ->> 3, e.value ->> 4
FROM json_each(:rows) AS e
CROSS JOIN {p}job AS j ON j.id = e.value ->> 0
WHERE j.token = e.value ->> 1 AND j.state = 'running'
ON CONFLICT (job_id) DO UPDATE
SET token = excluded.token, at = excluded.at, done = excluded.done, total = excluded.total,
    note = excluded.note
RETURNING job_id, token

-- name: save_checkpoints
INSERT INTO {p}checkpoint (job_id, token, at, state)
SELECT j.id, j.token, :now, e.value ->> 2
FROM json_each(:rows) AS e
CROSS JOIN {p}job AS j ON j.id = e.value ->> 0
WHERE j.token = e.value ->> 1 AND j.state = 'running'
ON CONFLICT (job_id) DO UPDATE
SET token = excluded.token, at = excluded.at, state = excluded.state
RETURNING job_id, token

-- name: read_log
SELECT token, number, at, level, logger, message, fields
FROM {p}log
WHERE job_id = :job_id AND (token, number) > (:from_token, :from_number) AND token <= :last_token
ORDER BY token, number
LIMIT :limit
