-- name: hold_waiting
-- Who holds these waiting keys; nobody else writes until the caller has committed.
SELECT j.waiting_key AS key, j.id, j.task, j.state, j.created_at
FROM json_each(:keys) AS wanted
CROSS JOIN {p}job AS j ON j.waiting_key = wanted.value

-- name: take_waiting_key
UPDATE OR IGNORE {p}job SET waiting_key = unique_key WHERE id = :id RETURNING 1 AS taken

-- name: hold_unique_keys
INSERT INTO {p}held_key (job_id, key, for_us, until, holds)
SELECT value ->> 0, value ->> 1, value ->> 2, :now + (value ->> 2), 1
FROM json_each(:rows) WHERE true
ON CONFLICT (key) WHERE holds DO NOTHING
RETURNING job_id

-- name: read_held_keys
SELECT h.key, h.until, :now AS now, j.id, j.task, j.state, j.created_at
FROM json_each(:keys) AS wanted
CROSS JOIN {p}held_key AS h ON h.key = wanted.value AND h.holds
JOIN {p}job AS j ON j.id = h.job_id

-- name: free_held_keys
UPDATE {p}held_key SET holds = 0
WHERE job_id IN (SELECT value FROM json_each(:ids)) AND holds
RETURNING job_id

-- name: own_held_key
SELECT key FROM {p}held_key WHERE job_id = :id

-- name: take_held_key
UPDATE OR IGNORE {p}held_key SET holds = 1, until = :now + for_us WHERE job_id = :id
RETURNING 1 AS taken

-- name: replace_waiting
-- Arguments, time and time to live are those of the request; all else stays as it is. Who waits for
-- other jobs looks at his time when they have ended. All of one batch share a new rank, behind all
-- that is queued; among them the id decides.
UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = '{p}job';
UPDATE {p}job AS j
SET args = found.args, version = found.version, run_at = found.run_at,
    expires_at = found.expires_at, state = found.after,
    shelf = iif(found.after = 'blocked', found.after, NULL),
    due_at = iif(
        found.after = 'scheduled',
        min(found.run_at, coalesce(found.expires_at, found.run_at)),
        NULL
    ),
    queued_at = CASE
        WHEN found.after <> 'queued' THEN NULL
        WHEN j.state = 'queued' THEN j.queued_at
        ELSE :now
    END,
    rank = CASE
        WHEN found.after <> 'queued' THEN NULL
        WHEN j.state = 'queued' THEN j.rank
        ELSE (SELECT seq FROM sqlite_sequence WHERE name = '{p}job')
    END,
    blocked_on = iif(found.after = 'blocked', j.blocked_on, NULL)
FROM (
    SELECT
        given.*,
        CASE
            WHEN held.state = 'blocked' AND held.marks & 8 THEN 'blocked'
            WHEN given.run_at > :now THEN 'scheduled'
            WHEN held.state = 'scheduled' AND held.marks & 1 THEN 'blocked'
            WHEN held.state = 'scheduled' THEN 'queued'
            ELSE held.state
        END AS after
    FROM (
        SELECT
            value ->> 0 AS id, value ->> 1 AS args, value ->> 2 AS version,
            coalesce(value ->> 4, :now + (value ->> 3)) AS run_at,
            :now + (value ->> 5) AS expires_at
        FROM json_each(:rows)
    ) AS given
    CROSS JOIN {p}job AS held ON held.id = given.id
    WHERE held.state IN ('blocked', 'scheduled', 'queued')
) AS found
WHERE j.id = found.id
RETURNING id, state, queue, created_at
