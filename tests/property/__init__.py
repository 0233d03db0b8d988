"""Random lives of jobs on real stores, judged by a model."""
