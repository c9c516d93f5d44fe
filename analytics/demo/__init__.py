"""Usage that never happened, so that a first visit has something to show.

Its records and roll-ups are marked ``demo`` and never add to those of real calls.
"""
