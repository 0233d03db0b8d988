-- name: store_exists
-- Asked on a caller's connection, where a statement on a missing table would spoil the transaction.
SELECT to_regclass('{p}store') IS NOT NULL AS found
