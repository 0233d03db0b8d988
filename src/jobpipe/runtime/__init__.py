"""What runs: the worker and its parts, each with one duty and a file of its own."""
