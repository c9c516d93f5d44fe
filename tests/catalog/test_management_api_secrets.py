"""That the management API tells a secret once, and nothing else does."""

from __future__ import annotations

import logging

from resources import RESOURCES

from catalog.models import ApiKey

SECRET = "sk-live-0123456789abcdef"


def test_secrets_are_told_once_and_stand_nowhere_else(
    program, catalogue, in_alice, caplog, committed
):
    """Every list, every object and every log line is searched for the secrets."""
    caplog.set_level(logging.DEBUG)
    with committed():
        issued = program.post("/api/keys/", {"application": str(catalogue.application.pk)}).json()
        path = f"/api/providers/{catalogue.provider.pk}/credential/"
        assert program.put(path, {"secret": SECRET}).status_code == 200
        bad = program.put(path, {"secret": SECRET + "\n" + SECRET})
    texts = [bad.content.decode(), caplog.text]
    for name in RESOURCES:
        listed = program.get(f"/api/{name}/")
        assert listed.status_code == 200
        texts.append(listed.content.decode())
        for row in listed.json()["results"]:
            texts.append(program.get(f"/api/{name}/{row['id']}/").content.decode())
    digest = bytes(ApiKey.objects.get(pk=issued["id"]).digest).hex()
    for secret in (issued["key"], catalogue.secret, SECRET, digest):
        assert not any(secret in text for text in texts)
    assert any(issued["prefix"] in text for text in texts)
