"""Runs the whole platform on one machine: ``python -m launch up``.

``bootstrap`` makes the environment, ``embedded`` holds the servers, ``supervisor`` keeps
processes alive, ``up`` puts it all together, ``checks`` says why it cannot start.
"""
