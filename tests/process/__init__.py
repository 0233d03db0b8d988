"""Crashes of real processes, judged by a ledger outside the store."""
