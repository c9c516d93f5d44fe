"""The console: Django over ASGI, with Channels for its live pages."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

_http = get_asgi_application()

# Only once Django is set up: these import models.
from channels.routing import ProtocolTypeRouter  # noqa: E402

from analytics.consumers import live_socket  # noqa: E402

application = ProtocolTypeRouter({"http": _http, "websocket": live_socket})
