"""What the control plane and the data plane share: immutable types and the names of Redis keys.

Nothing here imports Django or any other package of ours, so either plane can be
tested without the other.
"""
