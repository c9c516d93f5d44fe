"""A deterministic AI provider and a small weather service, so that everything runs with no key.

Nothing leaves this process, nothing is kept, and the same request gives the same bytes.
See ``sandbox.app`` for the paths and ``sandbox.directives`` for errors and delays on demand.
"""
