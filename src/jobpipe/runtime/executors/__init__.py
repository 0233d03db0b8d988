"""Where a task's code runs: on the event loop, or in a thread."""
