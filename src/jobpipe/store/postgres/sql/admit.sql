-- name: hold_admission
-- Locked until the end of the transaction; nobody waits for it. Transactions below oldest have
-- ended; those that write from now on have a number above that of this one. Only who gets the lock
-- draws a number. What follows in the transaction keeps its plans, whatever it is given. Where an
-- index is to be used without statistics it is asked for the first entry, not whether there is one.
WITH alone AS MATERIALIZED (
    SELECT name FROM {p}duty WHERE name = 'admit' FOR UPDATE SKIP LOCKED
)
SELECT
    CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AS oldest,
    CAST(CAST(pg_current_xact_id() AS text) AS bigint) AS own,
    set_config('plan_cache_mode', 'force_generic_plan', true) AS planning,
    EXISTS (SELECT 1 FROM {p}task_pause) AS has_pauses,
    (SELECT id FROM {p}arrival ORDER BY queue, tenant, id LIMIT 1) IS NOT NULL AS has_arrivals,
    (
        SELECT id FROM {p}flow WHERE due_at BETWEEN 0 AND :now ORDER BY due_at LIMIT 1
    ) IS NOT NULL AS has_late_flows,
    (
        SELECT next_at - :now FROM {p}gate WHERE next_at IS NOT NULL ORDER BY next_at LIMIT 1
    ) AS gate_in_us
FROM alone

-- name: await_admission
-- Locked until the end of the transaction, after the round that is under way, or given up.
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
    set_config('lock_timeout', usual, true) AS patience
FROM alone

-- part: looked
-- Of a job j, a row for each gate w of it, in the order in which look.looked takes them (no name
-- twice). One that was re-run has started, if not in this life.
j.id, j.state, j.marks, j.token, j.queue, j.priority, j.task, j.group_key, j.tenant,
CASE WHEN j.reruns > 0 THEN coalesce(j.started_at, :now) ELSE j.started_at END AS started_at,
CASE j.state WHEN 'blocked' THEN (
    SELECT a.job_id FROM {p}aside AS a WHERE a.task = j.task AND a.job_id = j.id LIMIT 1
) END IS NOT NULL AS is_aside,
w.kind, w.key, w.terms, w.place, w.line, w.token AS let_through

-- name: take_looks
-- What is noted, a row for each gate of each job; what is no job any more has one, too. From a
-- remembered point on, beyond the entries of what was taken, which a pinned snapshot keeps.
WITH taken AS (
    DELETE FROM {p}look
    WHERE id = ANY (ARRAY(
        SELECT id FROM {p}look WHERE id >= CAST(:since AS bigint)
        ORDER BY id LIMIT CAST(:limit AS bigint)
    ))
    RETURNING id, job_id
)
SELECT noted.newest, noted.notes, noted.job_id, {looked}
FROM (SELECT job_id, max(id) AS newest, count(*) AS notes FROM taken GROUP BY job_id) AS noted
LEFT JOIN LATERAL (SELECT * FROM {p}job WHERE id = noted.job_id LIMIT 1) AS j ON true
LEFT JOIN LATERAL (
    SELECT * FROM {p}gate_job WHERE job_id = j.id AND j.marks & 1 = 1 OFFSET 0
) AS w ON true

-- name: look_at
-- A job without a gate has one row, too.
SELECT {looked}
FROM unnest(CAST(:ids AS bigint[])) AS given (id)
CROSS JOIN LATERAL (SELECT * FROM {p}job WHERE id = given.id LIMIT 1) AS j
LEFT JOIN LATERAL (
    SELECT * FROM {p}gate_job WHERE job_id = j.id AND j.marks & 1 = 1 OFFSET 0
) AS w ON true
WHERE given.id BETWEEN 0 AND 4611686018427387904

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
