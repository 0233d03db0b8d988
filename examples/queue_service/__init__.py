"""A small task queue behind HTTP: see README.md."""
