-- Settings of a queue that change while jobs are enqueued and run; NULL: no such limit.
ALTER TABLE {p}queue ADD COLUMN paused_until bigint, ADD COLUMN max_queued bigint;
