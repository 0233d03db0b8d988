"""Power cuts of the SQLite store: each write and sync is recorded, and cut short everywhere."""
