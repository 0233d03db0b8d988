-- The index of expiry times must serve no other question, nor the claim index this one: where
-- statistics call queued jobs rare, the planner read all of the claim index to find what expires,
-- with all the dead entries that a pinned snapshot keeps in it.

DROP INDEX {p}job_expiry;
CREATE INDEX job_expiry ON {p}job ((CASE WHEN rank IS NOT NULL THEN expires_at END))
WHERE CASE WHEN rank IS NOT NULL THEN expires_at END IS NOT NULL;
