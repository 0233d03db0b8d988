"""Tasks: the functions that jobs run, their options, and how arguments and results travel."""
