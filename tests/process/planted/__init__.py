"""Bugs of the field, planted on purpose: the checker must name each of them.

Every module has ``plant()``, called in the process that shall have the bug.
"""
