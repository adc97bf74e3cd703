"""Whatever is no route."""

from __future__ import annotations

from tornado import web

from .handler import GatewayHandler


class NotFoundHandler(GatewayHandler):
    """Stands for Kernel Gateway's, which answers 404 to whoever asks."""

    async def prepare(self) -> None:  # type: ignore[override]
        """Raise 404, and what every route raises."""
        await super().prepare()
        if self.request.method != "OPTIONS":
            raise web.HTTPError(404)
