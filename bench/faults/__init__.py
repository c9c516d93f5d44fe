"""Faults under load: what the upstream answered must be what the tables hold."""
