-- name: write_lines
-- Looks at each line's job by its key, and takes no lock. A line that is already there was written
-- before a connection broke.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(
        CAST(:job_id AS bigint[]), CAST(:token AS bigint[]), CAST(:number AS integer[]),
        CAST(:age_us AS bigint[]), CAST(:level AS smallint[]), CAST(:logger AS text[]),
        CAST(:message AS text[]), CAST(:fields AS text[])
    ) AS g (job_id, token, number, age_us, level, logger, message, fields)
),
accepted AS MATERIALIZED (
    SELECT given.*
    FROM given
    CROSS JOIN LATERAL (
        SELECT j.token, j.state FROM {p}job AS j WHERE j.id = given.job_id LIMIT 1
    ) AS found
    WHERE found.token = given.token AND found.state = 'running'
),
written AS (
    INSERT INTO {p}log (job_id, token, number, at, level, logger, message, fields)
    SELECT
        job_id, token, number, :now - age_us, level, logger, message, CAST(fields AS json)
    FROM accepted
    ON CONFLICT (job_id, token, number) DO NOTHING
)
SELECT DISTINCT job_id, token FROM accepted

-- name: write_progress
-- Takes no lock on the job; so a stale word may come late, and gives way to a newer attempt's.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(
        CAST(:job_id AS bigint[]), CAST(:token AS bigint[]),
        CAST(:done AS double precision[]), CAST(:total AS double precision[]),
        CAST(:note AS text[])
    ) AS g (job_id, token, done, total, note)
),
accepted AS MATERIALIZED (
    SELECT given.*
    FROM given
    CROSS JOIN LATERAL (
        SELECT j.token, j.state FROM {p}job AS j WHERE j.id = given.job_id LIMIT 1
    ) AS found
    WHERE found.token = given.token AND found.state = 'running'
),
written AS (
    INSERT INTO {p}progress AS p (job_id, token, at, done, total, note)
    SELECT job_id, token, :now, done, total, note FROM accepted
    ON CONFLICT (job_id) DO UPDATE
    SET token = excluded.token, at = excluded.at, done = excluded.done, total = excluded.total,
        note = excluded.note
    WHERE excluded.token >= p.token
)
SELECT job_id, token FROM accepted

-- name: save_checkpoints
-- Locks the jobs, in the order of their ids: who takes a job back waits, and then reads this.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(
        CAST(:job_id AS bigint[]), CAST(:token AS bigint[]), CAST(:state AS text[])
    ) AS g (job_id, token, state)
),
accepted AS MATERIALIZED (
    SELECT given.*
    FROM given
    CROSS JOIN LATERAL (
        SELECT j.token, j.state FROM {p}job AS j WHERE j.id = given.job_id LIMIT 1
        FOR NO KEY UPDATE
    ) AS found
    WHERE found.token = given.token AND found.state = 'running'
),
written AS (
    INSERT INTO {p}checkpoint AS c (job_id, token, at, state)
    SELECT job_id, token, :now, CAST(state AS json) FROM accepted
    ON CONFLICT (job_id) DO UPDATE
    SET token = excluded.token, at = excluded.at, state = excluded.state
    WHERE excluded.token >= c.token
)
SELECT job_id, token FROM accepted

-- name: read_log
-- Both bounds of the token stand there for the planner, who expects few rows then and does not sort.
SELECT token, number, at, level, logger, message, fields
FROM {p}log
WHERE job_id = CAST(:job_id AS bigint)
    AND (token, number) > (CAST(:from_token AS bigint), CAST(:from_number AS integer))
    AND token BETWEEN CAST(:from_token AS bigint) AND CAST(:last_token AS bigint)
ORDER BY token, number
LIMIT CAST(:limit AS bigint)
