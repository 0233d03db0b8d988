-- name: finish
-- One guarded update; success changes no indexed column, so it writes no index at all. CASE hides
-- the guard from the planner, who would take running jobs for rare and look for them first; bounds
-- that all ids keep make it expect few rows, so it goes by the key even while the table is small,
-- and a plan that it keeps is still good when the table has grown.
-- What all have in common with a plain success comes as an empty array.
WITH ended AS MATERIALIZED (
    SELECT
        id, coalesce(token, 1) AS token, coalesce(state, 'succeeded') AS state, reason,
        coalesce(outcome, 'succeeded') AS outcome, result, error, delay_us,
        coalesce(charged, true) AS charged, duration_us, age_us
    FROM unnest(
        CAST(:id AS bigint[]), CAST(:token AS bigint[]), CAST(:state AS text[]),
        CAST(:reason AS text[]), CAST(:outcome AS text[]), CAST(:result AS text[]),
        CAST(:error AS text[]), CAST(:delay_us AS bigint[]), CAST(:charged AS boolean[]),
        CAST(:duration_us AS bigint[]), CAST(:age_us AS bigint[])
    ) AS e (
        id, token, state, reason, outcome, result, error, delay_us, charged, duration_us, age_us
    )
    WHERE e.id BETWEEN 0 AND 4611686018427387904
),
done AS (
    UPDATE {p}job AS j
    SET state = ended.state,
        reason = CASE ended.reason
            WHEN 'by_user' THEN coalesce(j.cancel_reason, 'by_user') ELSE ended.reason
        END,
        shelf = CASE
            WHEN ended.state IN ('failed', 'cancelled', 'parked') THEN ended.state
        END,
        due_at = CASE
            WHEN ended.state IN ('retrying', 'scheduled')
                THEN least(:now + ended.delay_us, j.expires_at)
        END,
        started_at = :now - ended.age_us - ended.duration_us,
        finished_at = CASE
            WHEN ended.state IN ('succeeded', 'failed', 'cancelled') THEN :now - ended.age_us
        END,
        result = CAST(ended.result AS json),
        error = CAST(ended.error AS json),
        attempt = j.attempt - CASE WHEN ended.charged THEN 0 ELSE 1 END,
        suspect = NULL
    FROM ended
    WHERE j.id = ended.id AND j.token = ended.token
        AND CASE j.state WHEN 'running' THEN true ELSE false END
    RETURNING
        j.id, j.token, j.state, j.reason, j.queue, j.worker_id, j.started_at, j.error,
        j.attempt + CASE WHEN ended.charged THEN 0 ELSE 1 END AS number,
        ended.outcome, :now - ended.age_us AS ended_at,
        j.cancel_requested_at IS NOT NULL AS cancel_requested, j.marks IS NOT NULL AS marked
),
told AS (
    INSERT INTO {p}attempt (
        job_id, token, number, outcome, reason, worker, host, pid, started_at, finished_at, error
    )
    SELECT
        d.id, d.token, d.number, d.outcome, d.reason, w.name, w.host, w.pid,
        d.started_at, d.ended_at, d.error
    FROM done AS d
    LEFT JOIN {p}worker AS w ON w.id = d.worker_id
    WHERE NOT (d.token = 1 AND d.outcome = 'succeeded')
),
counted AS (
    INSERT INTO {p}tally (queue, state, n)
    SELECT queue, state, count(*) FROM done
    WHERE state IN ('succeeded', 'failed', 'cancelled')
    GROUP BY queue, state
),
heard AS (
    DELETE FROM {p}cancel_request AS r USING ended
    WHERE r.job_id = ended.id AND r.token = ended.token
)
SELECT id, state, cancel_requested, marked FROM done

-- name: read_tokens
-- Tells a finish that was written before a connection broke from one that was refused.
SELECT id, token, state FROM {p}job WHERE id = ANY (CAST(:ids AS bigint[]))
