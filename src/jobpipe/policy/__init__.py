"""The judgements: pure functions and frozen values, no input or output, no clock."""
