"""The files that pages load: read once, and answered from memory, without a thread's help."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class Files:
    """The files that the pages load (style, script), found by name."""

    def __init__(self) -> None:
        self._bodies = {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _TYPES}
        self._tags = {name: f'"{hashlib.sha256(body).hexdigest()[:16]}"' for name, body in self._bodies.items()}

    async def answer(self, request: Request) -> Response:
        """The file; 304 for who has it already (RFC 9110 §13.1.2)."""
        name = request.path_params["name"]
        body = self._bodies.get(name)
        if body is None:
            return Response(status_code=404)
        headers = {"etag": self._tags[name], "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == self._tags[name]:
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type=_TYPES[Path(name).suffix])
