"""The running platform as its own admin and applications reach it, over HTTP."""

from __future__ import annotations

from typing import Any

import httpx


class Admin:
    """The management API of the demo tenant. Every call must succeed unless told otherwise."""

    def __init__(self, platform: dict[str, Any], token: str = "") -> None:
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{platform['console_port']}/api",
            headers={
                "Host": f"demo.localhost:{platform['console_port']}",
                "Authorization": f"Token {token or platform['management_token']}",
            },
        )

    def get(self, path: str, **params: Any) -> Any:
        return self._answer(self._client.get(path, params=params))

    def post(self, path: str, **body: Any) -> Any:
        return self._answer(self._client.post(path, json=body))

    def put(self, path: str, **body: Any) -> Any:
        return self._answer(self._client.put(path, json=body))

    def patch(self, path: str, **body: Any) -> Any:
        return self._answer(self._client.patch(path, json=body))

    def named(self, path: str, name: str) -> dict[str, Any]:
        """The one row of a list with this name."""
        rows = [row for row in self.get(path, search=name)["results"] if row["name"] == name]
        assert len(rows) == 1, f"{len(rows)} rows named {name!r} at {path}"
        return rows[0]

    @staticmethod
    def _answer(response: httpx.Response) -> Any:
        assert response.is_success, f"{response.request.url}: {response.text}"
        return response.json() if response.content else None


def gateway(platform: dict[str, Any], key: str = "") -> httpx.Client:
    """A client of the demo tenant's gateway; ``key`` defaults to the demo's."""
    return httpx.Client(
        base_url=f"http://127.0.0.1:{platform['gateway_port']}",
        headers={
            "Host": f"demo.localhost:{platform['gateway_port']}",
            "Authorization": f"Bearer {key or platform['api_key']}",
        },
    )
