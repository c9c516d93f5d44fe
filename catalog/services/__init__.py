"""Every write that means something.

All functions take keywords only, are atomic, raise Django's ValidationError (with a code)
for what the user did wrong, and end in ``publishing.changed()``.
"""
