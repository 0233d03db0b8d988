-- name: finish
-- Every part is guarded by (token, running); the updates come last since they end the guard. Plain
-- outcomes, the success of a first attempt, go a shorter way than others. LIMIT -1 OFFSET 0 keeps
-- the array that each row comes in, which would be built anew for every number read from it.
SELECT json_group_array(j.id) AS id, json_group_array('succeeded') AS state,
    json_group_array(j.cancel_requested_at IS NOT NULL) AS cancel_requested,
    json_group_array(j.marks IS NOT NULL) AS marked
FROM json_each(:plain_ids) AS e
CROSS JOIN {p}job AS j ON j.id = e.value
WHERE j.token = 1 AND j.state = 'running';
INSERT INTO {p}tally (queue, state, n)
SELECT j.queue, 'succeeded', count(*)
FROM json_each(:plain_ids) AS e
CROSS JOIN {p}job AS j ON j.id = e.value
WHERE j.token = 1 AND j.state = 'running'
GROUP BY j.queue;
DELETE FROM {p}cancel_request
WHERE token = 1 AND +job_id IN (SELECT value FROM json_each(:plain_ids));
SELECT json_group_array(j.id) AS id, json_group_array(e.value ->> 2) AS state,
    json_group_array(j.cancel_requested_at IS NOT NULL) AS cancel_requested,
    json_group_array(j.marks IS NOT NULL) AS marked
FROM json_each(:rows) AS e
CROSS JOIN {p}job AS j ON j.id = e.value ->> 0
WHERE j.token = e.value ->> 1 AND j.state = 'running';
INSERT INTO {p}attempt (
    job_id, token, number, outcome, reason, worker, host, pid, started_at, finished_at, error
)
SELECT
    j.id, j.token, j.attempt, e.value ->> 4,
    iif(e.value ->> 3 = 'by_user', coalesce(j.cancel_reason, 'by_user'), e.value ->> 3),
    w.name, w.host, w.pid,
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
WHERE (+job_id, token) IN (SELECT value ->> 0, value ->> 1 FROM json_each(:rows));
UPDATE {p}job
SET state = 'succeeded', started_at = :now - e.age_us - e.duration_us,
    finished_at = :now - e.age_us, result = e.result, error = NULL, suspect = NULL
FROM (
    SELECT v ->> 0 AS id, v ->> 1 AS result, v ->> 2 AS duration_us, v ->> 3 AS age_us
    FROM (SELECT value AS v FROM json_each(:plain) LIMIT -1 OFFSET 0)
) AS e
WHERE {p}job.id = e.id AND {p}job.token = 1 AND {p}job.state = 'running';
UPDATE {p}job
SET state = e.state,
    reason = iif(e.reason = 'by_user', coalesce(cancel_reason, 'by_user'), e.reason),
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
        v ->> 0 AS id, v ->> 1 AS token, v ->> 2 AS state, v ->> 3 AS reason,
        v ->> 5 AS result, v ->> 6 AS error, v ->> 7 AS delay_us,
        v ->> 8 AS charged, v ->> 9 AS duration_us, v ->> 10 AS age_us
    FROM (SELECT value AS v FROM json_each(:rows) LIMIT -1 OFFSET 0)
) AS e
WHERE {p}job.id = e.id AND {p}job.token = e.token AND {p}job.state = 'running'

-- name: read_tokens
-- Tells a finish that was written before a connection broke from one that was refused.
SELECT j.id, j.token, j.state
FROM json_each(:ids) AS wanted
CROSS JOIN {p}job AS j ON j.id = wanted.value
