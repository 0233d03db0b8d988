"""The operations themselves, run one by one."""
