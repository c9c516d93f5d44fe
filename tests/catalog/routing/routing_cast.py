"""What the tests of routing look at."""

from __future__ import annotations

LONG = {"subject": "prompt_tokens", "operator": "at_least", "values": ["4000"]}


def told(in_store, tenant, name):
    return next(row for row in in_store(tenant).models if row.name == name)


def deployment_of(call, path, **fields):
    (given,) = call("get", path)["deployments"]
    return {"deployments": [given | fields]}
