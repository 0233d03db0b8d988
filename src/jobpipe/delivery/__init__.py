"""Wake-ups: hints that shorten a wait. Losing one costs time, never a job."""
