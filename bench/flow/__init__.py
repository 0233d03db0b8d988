"""How well gates hold what they promise, and what they cost: ``python -m bench.flow``."""
