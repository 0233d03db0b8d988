"""Where the time of a job goes, for the goals of speed that are not reached."""
