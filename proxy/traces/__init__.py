"""OpenTelemetry traces: W3C context in and out, spans to a collector by OTLP.

Nothing here is imported into a worker that has no collector: ``traceparent`` then passes
through like any other header. With one, a call that is not sampled costs a look-up and is
passed on as it came; all else is done for sampled calls only, and their spans are made
after the call (``spans``) and sent in the background (``export``).
"""
