"""Limits between the tables, the snapshot and the counters in Valkey."""
