"""The PostgreSQL store: an async driver on asyncpg, a sync driver on psycopg, one dialect."""
