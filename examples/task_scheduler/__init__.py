"""Numbered tasks, two of which run at once: see README.md."""
