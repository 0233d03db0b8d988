"""The systems that are measured; one file of this folder tells of each family."""
