"""The program ``jobpipe worker``: it starts worker processes, watches them and buries the dead."""
