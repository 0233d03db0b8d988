-- name: finish
-- Every part is guarded by (token, running); the update comes last since it ends the guard.
INSERT INTO {p}attempt (
    job_id, token, number, outcome, reason, worker, host, pid, started_at, finished_at, error
)
SELECT
    j.id, j.token, j.attempt, e.value ->> 4, e.value ->> 3, w.name, w.host, w.pid,
    :now - (e.value ->> 10) - (e.value ->> 9), :now - (e.value ->> 10), e.value ->> 6
FROM json_each(:rows) AS e
CROSS JOIN {p}job AS j ON j.id = e.value ->> 0
LEFT JOIN {p}worker AS w ON w.id = j.worker_id
WHERE j.token = e.value ->> 1 AND j.state = 'running'
    AND NOT (j.token = 1 AND e.value ->> 4 = 'succeeded');
INSERT INTO {p}tally (queue, state, n)
SELECT j.queue, e.value ->> 2, count(*)
FROM json_each(:rows) AS e
CROSS JOIN {p}job AS j ON j.id = e.value ->> 0
WHERE j.token = e.value ->> 1 AND j.state = 'running'
    AND e.value ->> 2 IN ('succeeded', 'failed', 'cancelled')
GROUP BY 1, 2;
DELETE FROM {p}cancel_request
WHERE (job_id, token) IN (SELECT value ->> 0, value ->> 1 FROM json_each(:rows));
UPDATE {p}job
SET state = e.state,
    reason = e.reason,
    shelf = iif(e.state IN ('failed', 'cancelled', 'parked'), e.state, NULL),
    due_at = iif(
        e.state IN ('retrying', 'scheduled'),
        min(:now + e.delay_us, coalesce(expires_at, :now + e.delay_us)),
        NULL
    ),
    started_at = :now - e.age_us - e.duration_us,
    finished_at = iif(e.state IN ('succeeded', 'failed', 'cancelled'), :now - e.age_us, NULL),
    result = e.result,
    error = e.error,
    attempt = attempt - iif(e.charged, 0, 1),
    suspect = NULL
FROM (
    SELECT
        value ->> 0 AS id, value ->> 1 AS token, value ->> 2 AS state, value ->> 3 AS reason,
        value ->> 5 AS result, value ->> 6 AS error, value ->> 7 AS delay_us,
        value ->> 8 AS charged, value ->> 9 AS duration_us, value ->> 10 AS age_us
    FROM json_each(:rows)
) AS e
WHERE {p}job.id = e.id AND {p}job.token = e.token AND {p}job.state = 'running'
RETURNING id, state, cancel_requested_at IS NOT NULL AS cancel_requested

-- name: read_tokens
-- Tells a finish that was written before a connection broke from one that was refused.
SELECT j.id, j.token, j.state
FROM json_each(:ids) AS wanted
CROSS JOIN {p}job AS j ON j.id = wanted.value
