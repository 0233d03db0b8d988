"""The store on SQLite: one writer thread a process, readers beside it."""
