"""OpenAI's files and batches, at providers of OpenAI's own format. Read it in this order:
``serve``, ``marks``, ``places``, ``upload`` with ``forms`` and ``lines``, ``objects``, ``lists``,
``counted``."""
