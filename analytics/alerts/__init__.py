"""Rules that watch a tenant's usage, and who is told when one fires or resolves.

``rules`` saves them, ``evaluate`` decides each minute, ``deliver`` tells by e-mail and webhook.
"""
