-- name: peek
-- Looking is a read, so an idle worker never asks for the write lock.
SELECT 1 AS ready
FROM json_each(:rows) AS lane
CROSS JOIN {p}job AS j INDEXED BY {p}job_claim
    ON j.queue = lane.value ->> 0 AND j.priority = lane.value ->> 1 AND j.rank IS NOT NULL
LIMIT 1

-- name: claim
-- The loops give the order (lanes as asked, then rank) and stop at the limit: no sort. The answer is
-- one row with an array a column: every row that is fetched would hand the interpreter over twice.
-- No value may be longer than a billion bytes, so a claim ends where its payloads reach a bound.
DELETE FROM {p}claim WHERE id IN (SELECT value FROM json_each(:done));
INSERT INTO {p}claim (worker_id, job_ids, tokens, ranks)
SELECT :worker, json_group_array(id), json_group_array(token + 1), json_group_array(rank)
FROM (
    SELECT id, token, rank, sum(size) OVER (ROWS UNBOUNDED PRECEDING) - size AS before
    FROM (
        SELECT
            j.id, j.token, j.rank,
            length(j.args) + coalesce(length(j.meta), 0) + iif(
                j.token > 0,
                coalesce((SELECT length(state) FROM {p}checkpoint WHERE job_id = j.id), 0),
                0
            ) AS size
        FROM json_each(:rows) AS lane
        CROSS JOIN {p}job AS j INDEXED BY {p}job_claim
            ON j.queue = lane.value ->> 0 AND j.priority = lane.value ->> 1
            AND j.rank IS NOT NULL
        LIMIT :limit
    )
)
WHERE before < :payload_max
HAVING count(*) > 0;
UPDATE {p}job
SET state = 'running', rank = NULL, waiting_key = NULL, token = token + 1,
    attempt = attempt + 1, worker_id = :worker, started_at = :now
WHERE id IN (
    SELECT held.value
    FROM {p}claim AS c, json_each(c.job_ids) AS held
    WHERE c.id = last_insert_rowid() AND changes() = 1
);
SELECT json_group_array(j.id) AS id,
    c.tokens AS token,
    json_group_array(j.attempt) AS attempt,
    json_group_array(j.task) AS task,
    json_group_array(j.queue) AS queue,
    json_group_array(j.priority) AS priority,
    json_group_array(j.args) AS args,
    json_group_array(j.max_attempts) AS max_attempts,
    json_group_array(j.timeout_us) AS timeout_us,
    json_group_array(iif(j.expires_at <= :now, json('true'), json('false'))) AS expired,
    c.ranks AS rank,
    json_group_array(c.id) AS claim_id,
    json_group_array(j.meta) AS meta,
    json_group_array(iif(j.suspect, json('true'), json('false'))) AS suspect,
    json_group_array(
        iif(j.token > 1, (SELECT state FROM {p}checkpoint WHERE job_id = j.id), NULL)
    ) AS checkpoint
FROM {p}claim AS c, json_each(c.job_ids) AS held
CROSS JOIN {p}job AS j ON j.id = held.value
WHERE c.id = last_insert_rowid() AND changes() > 0
HAVING count(*) > 0

-- name: held
-- What the records say this worker holds and has not ended: (job, token, old rank).
SELECT j.id, j.token, c.ranks ->> held.key AS rank, c.id AS claim_id
FROM {p}claim AS c, json_each(c.job_ids) AS held
CROSS JOIN {p}job AS j ON j.id = held.value
WHERE c.worker_id = :worker AND j.token = c.tokens ->> held.key AND j.state = 'running'

-- name: give_back
-- Uncharged, at its old rank; a job that was to be cancelled is cancelled instead, and one that has
-- started comes to its gates again, if it has any: so does one whose token of a rate is taken
-- already. Who was a suspect stays one.
INSERT INTO {p}tally (queue, state, n)
SELECT j.queue, 'cancelled', count(*)
FROM json_each(:rows) AS given
CROSS JOIN {p}job AS j ON j.id = given.value ->> 0
WHERE j.token = given.value ->> 1 AND j.state = 'running' AND j.cancel_requested_at IS NOT NULL
GROUP BY j.queue;
DELETE FROM {p}cancel_request
WHERE (job_id, token) IN (SELECT value ->> 0, value ->> 1 FROM json_each(:rows));
UPDATE {p}job
SET state = CASE
        WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
        WHEN given.is_gated THEN 'blocked'
        ELSE 'queued'
    END,
    reason = iif(cancel_requested_at IS NULL, NULL, coalesce(cancel_reason, 'by_user')),
    shelf = CASE
        WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
        WHEN given.is_gated THEN 'blocked'
    END,
    finished_at = iif(cancel_requested_at IS NULL, NULL, :now),
    rank = iif(cancel_requested_at IS NULL AND NOT given.is_gated, given.rank, NULL),
    attempt = attempt - 1, worker_id = NULL,
    started_at = iif(:started AND given.is_gated, started_at, NULL),
    suspect = iif(:suspect, 1, suspect)
FROM (
    SELECT
        value ->> 0 AS id, value ->> 1 AS token, value ->> 2 AS rank,
        EXISTS (
            SELECT 1 FROM {p}gate_job
            WHERE job_id = value ->> 0 AND (:started OR (kind = 'rate' AND token IS NULL))
        ) AS is_gated
    FROM json_each(:rows)
) AS given
WHERE {p}job.id = given.id AND {p}job.token = given.token AND {p}job.state = 'running'
RETURNING id, queue, priority, rank
