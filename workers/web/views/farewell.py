"""What a worker says to the others before it ends."""

from aiohttp import web

from workers.cluster.farewells import PATH
from workers.web.routes import Desk, Route, Scope


async def heard(desk: Desk, request: web.Request) -> web.Response:
    """Remember it: in memory, for a metric. A call is a GET like all others between workers, and is signed."""
    if not desk.farewells.hear(request.query.get("worker", "")):
        return web.json_response({"error": "that is no name of a worker"}, status=400)
    return web.json_response({})


ROUTES = (Route("GET", PATH, Scope.WORKER, heard, "Nothing: another worker says that it ends in order."),)
