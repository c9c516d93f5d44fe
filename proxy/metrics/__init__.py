"""What the operator's Prometheus scrapes, on a port of its own.

Nothing here is imported into a worker that has no such port. With one, counting a call costs
half a microsecond at the journal (``tally``); everything else is looked up when it is asked
for (``collect``). Any worker answers for all of the machine (``serve``).
"""
