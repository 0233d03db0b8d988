-- name: grow_claim
-- Who claims for a program elsewhere has as many slots as the program was given jobs.
UPDATE {p}worker SET slots = slots + CAST(:jobs AS integer)
WHERE id = CAST(:claim AS bigint) RETURNING lease_until

-- name: forget_claim
DELETE FROM {p}worker WHERE id = CAST(:claim AS bigint) RETURNING id

-- name: keep_claim
-- A claim has no process of its own (its pid is 0). Its lease is renewed for as long as it was given
-- at first, which is what lies between the two times.
UPDATE {p}worker SET seen_at = :now, lease_until = :now + lease_until - seen_at
WHERE id = CAST(:claim AS bigint) AND host = CAST(:caller AS text) AND pid = 0
    AND ended_at IS NULL
RETURNING lease_until

-- name: own_claim
SELECT id FROM {p}worker
WHERE id = CAST(:claim AS bigint) AND host = CAST(:caller AS text) AND pid = 0

-- name: cancels
SELECT job_id AS id, token FROM {p}cancel_request
WHERE worker_id = CAST(:claim AS bigint) ORDER BY job_id

-- name: standing
SELECT
    id, token, state, worker_id AS claim, task, queue, attempt, max_attempts, started_at,
    :now AS now
FROM {p}job WHERE id = ANY (CAST(:ids AS bigint[]))

-- name: log_extent
-- How many lines each attempt has in its log, and of how many bytes: each by the key of the log.
SELECT given.job_id, given.token, found.lines, found.bytes
FROM unnest(CAST(:job_id AS bigint[]), CAST(:token AS bigint[])) AS given (job_id, token)
CROSS JOIN LATERAL (
    SELECT
        coalesce(max(l.number), 0) AS lines,
        coalesce(
            sum(octet_length(l.message) + coalesce(octet_length(CAST(l.fields AS text)), 0)), 0
        ) AS bytes
    FROM {p}log AS l WHERE l.job_id = given.job_id AND l.token = given.token
) AS found
