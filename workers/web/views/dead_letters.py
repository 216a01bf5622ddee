"""Dead letters: what there is, by kind; one letter; and a redrive in two steps."""

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Mapping
from contextlib import aclosing
from typing import Annotated, Any, cast

import pydantic
from aiohttp import web

from enrichers.letter_view import LetterView
from models.buried import CATEGORIES, CODES, Buried
from models.handled import ACTIONS, LetterId
from models.letter_selection import Selection, moment
from models.redrive import MAX_REPLAYS
from workers.app import now_ms
from workers.contract import masking
from workers.dead_letters.documents import BY, LetterCount, in_order_of, list_document, part_of, show_document
from workers.dead_letters.reading import letters, look
from workers.dead_letters.running import NumberChanged, RedriveOrder, Redriver, plan_redrive
from workers.kafka.access import kafka_access
from workers.kafka.topics import Topics
from workers.settings.worker import Settings
from workers.web.refusals import in_time, refusal
from workers.web.routes import Desk, Route, Scope
from workers.web.views.tables import rows_of

SHOWN = 50
SINCE = "7d"
SECONDS = 25.0
REASONS_SHOWN = 20
SLOW = "choose a shorter time, or use `cdc dlq`, which has all the time it needs"
GOES_ON = "it may go on by itself: look at how far redrives are before you try again"
_two_at_a_time = asyncio.Semaphore(2)
_redriver = Redriver()
Words = Annotated[list[Annotated[str, pydantic.StringConstraints(max_length=300)]], pydantic.Field(max_length=100)]


class _Asked(pydantic.BaseModel):
    """Which letters, as the page sends it."""

    model_config = pydantic.ConfigDict(extra="forbid")

    ids: Words = []
    stages: Words = []
    codes: Words = []
    categories: Words = []
    tables: Words = []
    keys: Words = []
    since: str = ""
    until: str = ""

    def selection(self, at_ms: int) -> Selection:
        """Raises ValueError."""
        _known(self.codes, CODES, "code")
        _known(self.categories, CATEGORIES, "category")
        return Selection(
            ids=frozenset(LetterId.parse(text) for text in self.ids), stages=frozenset(self.stages),
            codes=frozenset(self.codes), categories=frozenset(self.categories), tables=frozenset(self.tables),
            keys=frozenset(self.keys), since_ms=moment(self.since, at_ms) if self.since else None,
            until_ms=moment(self.until, at_ms) if self.until else None,
        )  # fmt: skip


class _Redrive(_Asked):
    expected: pydantic.NonNegativeInt | None = None
    rate: pydantic.PositiveFloat | None = None
    limit: pydantic.PositiveInt | None = None


def _known(words: Collection[str], known: Collection[str], what: str) -> None:
    unknown = [word for word in words if word not in known]
    if unknown:
        raise ValueError(f"there is no such {what}; there are: {', '.join(known)}")


def _selection_of(query: Mapping[str, str]) -> Selection:
    def words(name: str) -> list[str]:
        return [text for text in query.get(name, "").split(",") if text]

    asked = _Asked(
        stages=words("stage"), codes=words("code"), categories=words("category"), tables=words("table"),
        keys=[query["key"]] if query.get("key") else [], since=query.get("since") or SINCE,
    )  # fmt: skip
    return asked.selection(now_ms())


def _view(settings: Settings) -> LetterView:
    options, secret, other, _ = masking(settings)
    readings = {topic: options.readings[name] for name, topic in Topics.of(settings).raw.items()}
    catalogue = rows_of(settings).catalogue
    return LetterView(catalogue, secret=secret, other=other, zone=options.time_zone, readings=readings)


async def overview(desk: Desk, request: web.Request) -> web.Response:
    """Counts by kind, and the newest letters."""
    query = request.query
    by = tuple(name for name in BY if name in query.get("by", "").split(",")) or ("stage", "code", "table", "message")
    try:
        selection = _selection_of(query)
    except ValueError as error:
        return _invalid(error)
    view = _view(desk.settings)
    handled = (None, *ACTIONS) if query.get("all") == "1" else (None,)
    counts: dict[tuple[str, ...], LetterCount] = {}
    newest: deque[Buried] = deque(maxlen=SHOWN)
    async with asyncio.timeout(SECONDS), _two_at_a_time, kafka_access(desk.settings) as kafka:
        found = await look(desk.settings, kafka, selection, _quiet)
        read = letters(kafka, found, selection, view.keys, _quiet, handled=handled)
        async with aclosing(read) as selected:
            async for letter in selected:
                counts.setdefault(tuple(part_of(letter, name) for name in by), LetterCount()).add(letter)
                newest.append(letter.without_value())
    total = sum(count.letters for count in counts.values())
    return web.json_response(
        {
            "here": desk.cluster.here, "at": now_ms(), "total": total, "by": by,
            "groups": [
                {**dict(zip(by, key, strict=True)), **count.document()} for key, count in in_order_of(counts, by)
            ],
            "letters": [list_document(letter, view) for letter in reversed(newest)], "more": total > len(newest),
            "heldBack": list(found.held_back),
        }
    )  # fmt: skip


async def one(desk: Desk, request: web.Request) -> web.Response:
    """One letter: payload masked, error, where it was on its way, what to do."""
    try:
        wanted = LetterId.parse(request.query.get("id", ""))
    except ValueError:
        return refusal("there is no such letter", "an id is PARTITION:OFFSET, like 3:1841", 404)
    view, selection = _view(desk.settings), Selection(ids=frozenset((wanted,)))
    async with asyncio.timeout(SECONDS), _two_at_a_time, kafka_access(desk.settings) as kafka:
        found = await look(desk.settings, kafka, selection, _quiet)
        read = letters(kafka, found, selection, view.keys, _quiet, handled=(None, *ACTIONS))
        async with aclosing(read) as selected:
            async for letter in selected:
                return web.json_response({"here": desk.cluster.here, "letter": show_document(letter, view)})
    return refusal(f"there is no letter {wanted}", "Kafka keeps them 30 days", 404)


async def _order(desk: Desk, request: web.Request) -> RedriveOrder:
    asked = _Redrive.model_validate(await request.json())
    return RedriveOrder(
        asked.selection(now_ms()), _view(desk.settings).keys, MAX_REPLAYS,
        asked.expected if asked.expected is not None else -1, asked.rate, asked.limit,
    )  # fmt: skip


async def plan(desk: Desk, request: web.Request) -> web.Response:
    """First step: what a redrive would do. Nothing is written."""
    try:
        order = await _order(desk, request)
    except ValueError as error:
        return _invalid(error)
    async with asyncio.timeout(SECONDS), _two_at_a_time:
        tally = await plan_redrive(desk.settings, order)
    reasons = Counter(reason for _, reason in tally.refused)
    return web.json_response(
        {
            "letters": tally.letters, "gaps": tally.gaps, "refused": len(tally.refused),
            "kinds": [
                {"stage": stage, "code": code, "table": table, "message": message, "letters": count}
                for (stage, code, table, message), count in tally.kinds.most_common()
            ],
            "reasons": [{"reason": why, "letters": count} for why, count in reasons.most_common(REASONS_SHOWN)],
        }
    )  # fmt: skip


async def redrive(desk: Desk, request: web.Request) -> web.Response:
    """Second step: do it, if it is still as many letters as `expected`."""
    try:
        order = await _order(desk, request)
    except ValueError as error:
        return _invalid(error)
    if order.expected < 1:
        return refusal("say how many letters are expected", "the first step, /api/dead-letters/plan, counts them")
    try:
        async with asyncio.timeout(SECONDS):
            progress = await _redriver.begin(desk.settings, order, now_ms)
    except NumberChanged as error:
        return web.json_response({"error": str(error), "hint": error.hint, "letters": error.now}, status=409)
    return web.json_response({"worker": desk.cluster.here, "redrive": progress.document()}, status=202)


async def progress_here(_desk: Desk, _request: web.Request) -> web.Response:
    """The last redrive that this worker ran."""
    return web.json_response({"redrive": _redriver.progress.document() if _redriver.progress is not None else None})


async def progress(desk: Desk, _request: web.Request) -> web.Response:
    """The last redrive of every worker."""
    answers = await desk.cluster.ask("/internal/dead-letters/redrive")
    return web.json_response(
        {
            "here": desk.cluster.here,
            "workers": [{"name": answer.worker, "error": answer.error} for answer in answers],
            "redrives": [
                {"worker": answer.worker, **answer.body["redrive"]}
                for answer in answers
                if answer.body is not None and answer.body["redrive"] is not None
            ],
        }
    )  # fmt: skip


def _invalid(error: ValueError) -> web.Response:
    """P6: pydantic's own text quotes what was sent."""
    if isinstance(error, pydantic.ValidationError):
        places = cast("list[Mapping[str, Any]]", error.errors(include_input=False, include_url=False))
        text = "; ".join(f"{'.'.join(map(str, place['loc']))}: {place['msg']}" for place in places[:3])
        return refusal(text)
    return refusal(str(error))


def _quiet(_what: str, _done: int, _total: int) -> None:
    """The page does not show these steps."""


_AUDITED = ("ids", "stages", "codes", "categories", "tables", "since", "until", "expected", "rate", "limit")
ROUTES = (
    Route("GET", "/internal/dead-letters/redrive", Scope.WORKER, progress_here, "The redrive that this worker ran."),
    Route("GET", "/api/dead-letters", Scope.READ, in_time(overview, SLOW), "Dead letters by kind, and the newest."),
    Route("GET", "/api/dead-letters/letter", Scope.READ, in_time(one, SLOW), "One dead letter, masked."),
    Route("GET", "/api/dead-letters/redrive", Scope.READ, progress, "How far redrives are that workers run."),
    Route(
        "POST", "/api/dead-letters/plan", Scope.WRITE, in_time(plan, SLOW), "What a redrive would do.",
        audited=_AUDITED,
    ),
    Route(
        "POST", "/api/dead-letters/redrive", Scope.WRITE, in_time(redrive, GOES_ON), "Redrive what was planned.",
        audited=_AUDITED,
    ),
)  # fmt: skip
