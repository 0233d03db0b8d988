-- name: waiting_heads
-- Per queue how long its first job waits, and how late its first timed job is: a probe a lane.
SELECT lane.queue, max(:now - head.at) AS waited_us, CAST(NULL AS bigint) AS late_us
FROM (SELECT DISTINCT queue, priority FROM {p}lane) AS lane
CROSS JOIN LATERAL (
    SELECT coalesce(queued_at, created_at) AS at FROM {p}job
    WHERE queue = lane.queue AND priority = lane.priority AND rank IS NOT NULL
    ORDER BY rank LIMIT 1
) AS head
GROUP BY lane.queue
UNION ALL
SELECT lane.queue, CAST(NULL AS bigint), :now - head.due_at
FROM (SELECT DISTINCT queue FROM {p}lane) AS lane
CROSS JOIN LATERAL (
    SELECT due_at FROM {p}job WHERE queue = lane.queue AND due_at IS NOT NULL
    ORDER BY due_at LIMIT 1
) AS head

-- name: busy
-- How many running jobs each worker holds: the claim records, as in counts.
SELECT c.worker_id AS worker, count(*) AS n
FROM {p}claim AS c
CROSS JOIN LATERAL unnest(c.job_ids, c.tokens) AS held (id, token)
CROSS JOIN LATERAL (
    SELECT j.token, j.state FROM {p}job AS j WHERE j.id = held.id LIMIT 1
) AS found
WHERE found.token = held.token AND found.state = 'running'
GROUP BY c.worker_id

-- name: task_runs
-- A sample: the newest jobs, and what the workers hold or have just ended. Whom a cancel or its time
-- ended may have waited for long.
SELECT
    task, count(*) AS runs, count(*) FILTER (WHERE state = 'running') AS running,
    CAST(avg(took_us) AS bigint) AS mean_us, max(took_us) AS longest_us
FROM (
    SELECT id, task, state, coalesce(finished_at, :now) - started_at AS took_us
    FROM (
        SELECT id, task, state, reason, started_at, finished_at FROM {p}job
        ORDER BY id DESC LIMIT CAST(:scan AS bigint)
    ) AS newest
    WHERE started_at IS NOT NULL AND state <> 'cancelled' AND reason IS DISTINCT FROM 'expired'
        AND (state = 'running' OR finished_at >= :now - CAST(:span_us AS bigint))
    UNION
    SELECT found.id, found.task, found.state, coalesce(found.finished_at, :now) - found.started_at
    FROM (
        SELECT unnest(job_ids) AS id FROM {p}claim LIMIT CAST(:scan AS bigint)
    ) AS held
    CROSS JOIN LATERAL (
        SELECT j.id, j.task, j.state, j.reason, j.started_at, j.finished_at
        FROM {p}job AS j WHERE j.id = held.id LIMIT 1
    ) AS found
    WHERE found.started_at IS NOT NULL
        AND found.state <> 'cancelled' AND found.reason IS DISTINCT FROM 'expired'
        AND (found.state = 'running' OR found.finished_at >= :now - CAST(:span_us AS bigint))
) AS sample
GROUP BY task

-- name: task_failures
-- Of the newest failed jobs those that failed of late, and jobs that wait for another attempt.
-- The ids are bounded as in counts, lest the planner sorts.
SELECT
    task, count(*) FILTER (WHERE state = 'failed') AS failed,
    count(*) FILTER (WHERE state = 'retrying') AS retrying
FROM (
    SELECT task, state FROM (
        SELECT task, state, finished_at FROM {p}job
        WHERE shelf = 'failed' AND id BETWEEN 0 AND 4611686018427387904
        ORDER BY id DESC LIMIT CAST(:scan AS bigint)
    ) AS newest
    WHERE finished_at >= :now - CAST(:span_us AS bigint)
    UNION ALL
    SELECT task, state FROM (
        SELECT task, state FROM {p}job WHERE due_at IS NOT NULL
        ORDER BY queue, due_at LIMIT CAST(:scan AS bigint)
    ) AS timed
    WHERE state = 'retrying'
) AS sample
GROUP BY task

-- name: waiting_tasks
SELECT task, count(*) AS n
FROM (
    SELECT task FROM {p}job WHERE rank IS NOT NULL
    ORDER BY queue, priority, rank LIMIT CAST(:bound AS bigint)
) AS waiting
GROUP BY task
ORDER BY task

-- name: parked_tasks
SELECT task, reason, count(*) AS n
FROM (
    SELECT task, reason FROM {p}job
    WHERE shelf = 'parked' AND id BETWEEN 0 AND 4611686018427387904
    ORDER BY id LIMIT CAST(:bound AS bigint)
) AS parked
GROUP BY task, reason
ORDER BY task, reason

-- name: task_names
SELECT DISTINCT task
FROM (SELECT task FROM {p}job ORDER BY id DESC LIMIT CAST(:scan AS bigint)) AS newest
ORDER BY task

-- name: jobs_before
SELECT count(*) AS n
FROM (
    SELECT queue, priority, rank FROM {p}job WHERE id = CAST(:id AS bigint) LIMIT 1
) AS j
CROSS JOIN LATERAL (
    SELECT 1 FROM {p}job AS other
    WHERE other.queue = j.queue AND other.priority = j.priority AND other.rank < j.rank
    ORDER BY other.rank
    LIMIT CAST(:bound AS bigint)
) AS before

-- name: oldest_ended
-- Among the oldest jobs of all: how long ago those of each final state ended, at most.
SELECT state, max(:now - finished_at) AS age_us
FROM (
    SELECT state, finished_at FROM {p}job ORDER BY id LIMIT CAST(:scan AS bigint)
) AS oldest
WHERE finished_at IS NOT NULL
GROUP BY state

-- name: limit_wait
-- A look at a server in trouble must end; the limit goes with the transaction.
SELECT set_config('statement_timeout', CAST(:limit_ms AS text), true)

-- name: server
-- Settings that matter to a queue, and what this user may see of other sessions.
SELECT name, setting AS value
FROM pg_catalog.pg_settings
WHERE name IN (
    'server_version', 'max_connections', 'superuser_reserved_connections', 'fsync',
    'synchronous_commit', 'autovacuum'
)
UNION ALL
SELECT 'used_connections', CAST(sum(numbackends) AS text) FROM pg_catalog.pg_stat_database
UNION ALL
SELECT 'sees_all_sessions', CAST(pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS text)

-- name: old_snapshots
-- Whoever keeps the server from removing dead rows of this database, the oldest first. Of other
-- users' sessions one who may not read all statistics sees no time, only how far behind they are.
SELECT kind, pid, name, owner, age_us, behind
FROM (
    SELECT
        'session' AS kind, pid, application_name AS name, CAST(usename AS text) AS owner,
        CAST(extract(epoch FROM statement_timestamp() - xact_start) * 1000000 AS bigint) AS age_us,
        greatest(age(backend_xmin), age(backend_xid)) AS behind
    FROM pg_catalog.pg_stat_activity
    WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND pid <> pg_backend_pid()
        AND (datname = current_database() OR datname IS NULL)
        AND coalesce(backend_type, '') <> 'autovacuum worker'
    UNION ALL
    SELECT
        'prepared', NULL, gid, CAST(owner AS text),
        CAST(extract(epoch FROM statement_timestamp() - prepared) * 1000000 AS bigint),
        age(transaction)
    FROM pg_catalog.pg_prepared_xacts
    WHERE database = current_database()
    UNION ALL
    SELECT 'slot', active_pid, CAST(slot_name AS text), NULL, NULL, age(xmin)
    FROM pg_catalog.pg_replication_slots
    WHERE xmin IS NOT NULL
) AS held
ORDER BY behind DESC
LIMIT 100

-- name: unvacuumed
SELECT CAST(c.relname AS text) AS name
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS s ON s.oid = c.relnamespace
CROSS JOIN LATERAL pg_options_to_table(c.reloptions) AS o
WHERE s.nspname = CAST(:schema AS text) AND c.relkind = 'r'
    AND o.option_name = 'autovacuum_enabled' AND NOT CAST(o.option_value AS boolean)
ORDER BY c.relname
