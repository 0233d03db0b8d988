-- name: grow_claim
-- Who claims for a program elsewhere has as many slots as the program was given jobs.
UPDATE {p}worker SET slots = slots + :jobs WHERE id = :claim RETURNING lease_until

-- name: forget_claim
DELETE FROM {p}worker WHERE id = :claim RETURNING id

-- name: keep_claim
-- A claim has no process of its own (its pid is 0). Its lease is renewed for as long as it was given
-- at first, which is what lies between the two times.
UPDATE {p}worker SET seen_at = :now, lease_until = :now + lease_until - seen_at
WHERE id = :claim AND host = :caller AND pid = 0 AND ended_at IS NULL
RETURNING lease_until

-- name: own_claim
SELECT id FROM {p}worker WHERE id = :claim AND host = :caller AND pid = 0

-- name: cancels
SELECT job_id AS id, token FROM {p}cancel_request WHERE worker_id = :claim ORDER BY job_id

-- name: standing
SELECT
    j.id, j.token, j.state, j.worker_id AS claim, j.task, j.queue, j.attempt, j.max_attempts,
    j.started_at, :now AS now
FROM json_each(:ids) AS wanted
CROSS JOIN {p}job AS j ON j.id = wanted.value

-- name: log_extent
-- How many lines each attempt has in its log, and of how many bytes.
SELECT
    given.value ->> 0 AS job_id, given.value ->> 1 AS token, max(l.number) AS lines,
    sum(length(CAST(l.message AS BLOB)) + coalesce(length(CAST(l.fields AS BLOB)), 0)) AS bytes
FROM json_each(:rows) AS given
CROSS JOIN {p}log AS l ON l.job_id = given.value ->> 0 AND l.token = given.value ->> 1
GROUP BY 1, 2
