"""The store on SQLite: one writer a process, readers beside it."""
