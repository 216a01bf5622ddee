"""The files of the page, read when the worker starts: what is not among them does not exist."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from workers.web.routes import Desk, Route, Scope

DIRECTORY = Path(__file__).parent / "page"
INDEX = "index.html"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file as it is sent."""

    body: bytes
    content_type: str
    tag: str


def page_files(directory: Path = DIRECTORY) -> dict[str, PageFile]:
    """{path below `/page/`: file}; files of other kinds are not served."""
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.suffix in TYPES and path.is_file() and not path.is_symlink():
            body = path.read_bytes()
            tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
            found[path.relative_to(directory).as_posix()] = PageFile(body, TYPES[path.suffix], tag)
    return found


def page_routes(files: Mapping[str, PageFile]) -> tuple[Route, ...]:
    """Routes of these files."""

    async def serve(_desk: Desk, request: web.Request) -> web.Response:
        file = files.get(request.match_info["file"] or INDEX)
        if file is None:
            raise web.HTTPNotFound(text="the page has no such file")
        headers = {"ETag": file.tag, "Cache-Control": "no-cache", "Content-Type": file.content_type}
        if request.headers.get("If-None-Match") == file.tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.body, headers=headers)

    return (Route("GET", "/page/{file:.*}", Scope.OPEN, serve, "Files of the page, which hold no data."),)
