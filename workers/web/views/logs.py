"""The last log lines of every worker, masked when they were written."""

from aiohttp import web

from workers.cluster.logs import InvalidLogQuery, LogQuery, logs_of, told
from workers.logs.ring import ring_of_process
from workers.web.routes import Desk, Route, Scope


def _query(request: web.Request) -> LogQuery:
    try:
        return LogQuery.of(request.query)
    except InvalidLogQuery as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from None


async def here(desk: Desk, request: web.Request) -> web.Response:
    """Lines of this process."""
    query, me = _query(request), desk.cluster.here
    if query.worker is not None and query.worker != me:
        return web.json_response({"lines": [], "cursor": "", "missed": 0})
    return web.json_response(told(ring_of_process().read(query.filter, query.cursors.get(me, ""), query.limit)))


async def everywhere(desk: Desk, request: web.Request) -> web.Response:
    """Lines of all workers, by time."""
    found = await logs_of(desk.cluster, _query(request))
    return web.json_response({"here": desk.cluster.here, **found.document()})


ROUTES = (
    Route("GET", "/internal/logs", Scope.WORKER, here, "The last log lines of this worker."),
    Route("GET", "/api/logs", Scope.READ, everywhere, "The last log lines of every worker, by time."),
)
