"""OpenAI's files and batches, at providers that take them and at some that take batches otherwise.

Read it in this order: ``serve``, ``marks``, ``places``, ``keepers`` (how each kind of provider
takes them) with ``shelf``, ``upload`` with ``forms`` and ``lines``, ``objects``, ``lists``,
``counted`` and ``bills``.
"""
