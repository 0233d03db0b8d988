-- name: hold_admission
-- Locked until the end of the transaction; nobody waits for it. Transactions below oldest have
-- ended; those that write from now on have a number above that of this one. Only who gets the lock
-- draws a number; who stands still with it is cut off.
WITH alone AS MATERIALIZED (
    SELECT name FROM {p}duty WHERE name = 'admit' FOR UPDATE SKIP LOCKED
)
SELECT
    CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AS oldest,
    CAST(CAST(pg_current_xact_id() AS text) AS bigint) AS own,
    set_config(
        'idle_in_transaction_session_timeout', CAST(CAST(:standstill_ms AS bigint) AS text), true
    ) AS standstill
FROM alone

-- name: await_admission
-- Locked until the end of the transaction, after the round that is under way, or given up. Who
-- stands still with it is cut off.
WITH patience AS MATERIALIZED (
    SELECT
        current_setting('lock_timeout') AS usual,
        set_config('lock_timeout', CAST(CAST(:await_ms AS bigint) AS text), true) AS now
),
alone AS MATERIALIZED (
    SELECT duty.name, patience.usual
    FROM patience CROSS JOIN {p}duty AS duty
    WHERE duty.name = 'admit'
    FOR UPDATE OF duty
)
SELECT
    name,
    set_config('lock_timeout', usual, true) AS patience,
    set_config(
        'idle_in_transaction_session_timeout', CAST(CAST(:standstill_ms AS bigint) AS text), true
    ) AS standstill
FROM alone

-- name: take_looks
-- From a remembered point on, beyond the entries of what was taken, which a pinned snapshot keeps.
DELETE FROM {p}look
WHERE id = ANY (ARRAY(
    SELECT id FROM {p}look WHERE id >= CAST(:since AS bigint)
    ORDER BY id LIMIT CAST(:limit AS bigint)
))
RETURNING id, job_id

-- name: look_at
-- A job that was re-run has started, if not in this life.
SELECT
    id, state, marks, token, queue, priority, task, group_key, tenant,
    CASE WHEN reruns > 0 THEN coalesce(started_at, :now) ELSE started_at END AS started_at
FROM {p}job
WHERE id = ANY (CAST(:ids AS bigint[])) AND id BETWEEN 0 AND 4611686018427387904
ORDER BY id

-- part: blocked_and_free
-- Of these jobs those that are blocked and that nobody's open transaction holds, locked.
SELECT j.id
FROM unnest(CAST(:ids AS bigint[])) AS given (id)
CROSS JOIN LATERAL (
    SELECT id FROM {p}job
    WHERE id = given.id AND CASE state WHEN 'blocked' THEN true ELSE false END
    FOR UPDATE SKIP LOCKED
) AS j
WHERE given.id BETWEEN 0 AND 4611686018427387904

-- name: admit
-- In the order in which they are given, each behind all that is queued. Who came before his time
-- waits for it; who expired meanwhile ends. Somebody's open transaction may hold one of them: that
-- one is left for a later round.
WITH free AS MATERIALIZED ({blocked_and_free}),
chosen AS MATERIALIZED (
    SELECT id, nextval('{p}rank') AS place
    FROM (
        SELECT given.id
        FROM unnest(CAST(:ids AS bigint[])) WITH ORDINALITY AS given (id, number)
        JOIN free ON free.id = given.id
        ORDER BY given.number
        OFFSET 0
    ) AS ordered
),
moved AS (
    UPDATE {p}job AS j
    SET state = CASE
            WHEN expires_at <= :now THEN 'failed'
            WHEN run_at > :now THEN 'scheduled'
            ELSE 'queued'
        END,
        reason = CASE WHEN expires_at <= :now THEN 'expired' END,
        shelf = CASE WHEN expires_at <= :now THEN 'failed' END,
        finished_at = CASE WHEN expires_at <= :now THEN :now END,
        due_at = CASE
            WHEN expires_at <= :now THEN NULL
            WHEN run_at > :now THEN least(run_at, expires_at)
        END,
        rank = CASE WHEN expires_at <= :now OR run_at > :now THEN NULL ELSE place END,
        queued_at = CASE WHEN expires_at <= :now OR run_at > :now THEN NULL ELSE :now END,
        blocked_on = NULL
    FROM chosen
    WHERE j.id = chosen.id AND CASE j.state WHEN 'blocked' THEN true ELSE false END
    RETURNING j.id, queue, priority, state, rank
),
counted AS (
    INSERT INTO {p}tally (queue, state, n)
    SELECT queue, state, count(*) FROM moved WHERE state = 'failed' GROUP BY queue, state
)
SELECT id, queue, priority, state, rank FROM moved
