"""`sources.yaml`: the streams of a bridge that reads several, with every mistake at once and its line."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import yaml

from models.source_spec import (
    ADAPTERS,
    ENDPOINT,
    EXTERNAL_ID,
    REGION,
    ROLE_ARN,
    SOURCE_NAME,
    SourceSpec,
    is_stream,
    region_of,
)
from models.sources.dms import PARTS
from models.sources.reading import PLAIN, Reading
from models.start_position import StartAt
from models.tables import AbsentColumns
from models.yaml_nodes import InvalidFile, Problems, Reader, line_of

AFFIX = re.compile(r"[A-Za-z0-9_$#]{0,30}", re.ASCII)
MAX_LOB_KIB = 102_400
"""LobMaxSize goes up to 100 MiB."""
READING = ("before_image", "before_prefix", "before_suffix", "absent_columns", "lob_max_size")
FIELDS = ("name", "stream", "region", "role", "external_id", "endpoint", "start", "adapter", "enabled", *READING)


def read_sources(path: Path, region: str, start: StartAt) -> tuple[SourceSpec, ...]:
    """`region` and `start` are for sources that name none. Raises InvalidFile with all mistakes."""
    problems = Problems(path.name)
    reader = _SourceReader(problems, region, start)
    found: dict[str, SourceSpec] = {}
    names: dict[str, int] = {}
    streams: dict[tuple[str, str, str | None], int] = {}
    nodes = reader.entries(path, "sources")
    for node in nodes:
        spec = reader.source(node)
        if spec is None:
            continue
        stream = (spec.stream, spec.region, spec.role)
        if spec.name in found:
            problems.at(node, f"two sources have the name {spec.name}, the other on line {names[spec.name]}")
        elif stream in streams:
            problems.at(node, f"two sources read the stream {spec.stream}, the other on line {streams[stream]}")
        names.setdefault(spec.name, line_of(node))
        streams.setdefault(stream, line_of(node))
        found.setdefault(spec.name, spec)
    if not nodes and not problems.found:
        problems.at(1, "there is no source: list at least one below `sources:`")
    if problems.found:
        raise InvalidFile(problems.listed())
    return tuple(found.values())


class _SourceReader(Reader):
    def __init__(self, problems: Problems, region: str, start: StartAt) -> None:
        super().__init__(problems)
        self.region = region
        self.start = start

    def source(self, node: yaml.Node) -> SourceSpec | None:
        given = self.fields(node, "source", FIELDS)
        if given is None:
            return None
        for needed, why in (("name", "of its topic raw.<name>"), ("stream", "its name or ARN")):
            if needed not in given:
                self.problems.at(node, f"a source needs `{needed}`, {why}")
        name = self._matching(
            given.get("name"), "name may only hold letters, digits, ., _ and -", SOURCE_NAME.fullmatch
        )
        stream = self.text(given.get("stream"), "stream")
        if stream is not None and not is_stream(stream):
            self.problems.at(given["stream"], "stream must be a stream's name or its ARN")
            stream = None
        region = self._region(given.get("region"), stream)
        role = self._matching(given.get("role"), "role must be the ARN of an IAM role", ROLE_ARN.fullmatch)
        external_id = self._matching(given.get("external_id"), "external_id is not one", EXTERNAL_ID.fullmatch)
        if "external_id" in given and "role" not in given:
            self.problems.at(given["external_id"], "external_id belongs to a `role`")
        endpoint = self._matching(
            given.get("endpoint"), "endpoint must be an http or https URL without a path", ENDPOINT.fullmatch
        )
        start = self._start(given.get("start"))
        adapter = self.word(given.get("adapter"), "adapter", ADAPTERS)
        enabled = self.flag(given.get("enabled"), "enabled")
        if name is None or stream is None:
            return None
        return SourceSpec(
            name, stream, region, role, external_id, endpoint, start,
            next((known for known in ADAPTERS if known == adapter), None), enabled is not False, self._reading(given),
        )  # fmt: skip

    def _reading(self, given: dict[str, yaml.Node]) -> Reading:
        for name in ("before_image", "before_prefix", "before_suffix", "lob_max_size"):
            if name in given and getattr(given.get("adapter"), "value", "dms") != "dms":
                self.problems.at(given[name], f"{name} belongs to records of DMS")
        before = self.text(given.get("before_image"), "before_image")
        if before in PARTS:
            self.problems.at(given["before_image"], f"before_image cannot be {before}: DMS has that for something else")
        affixes = {name: self._affix(given.get(name), name) for name in ("before_prefix", "before_suffix")}
        absent = self.word(given.get("absent_columns"), "absent_columns", get_args(AbsentColumns))
        return Reading(
            before_image=before,
            before_prefix=PLAIN.before_prefix if affixes["before_prefix"] is None else affixes["before_prefix"],
            before_suffix=affixes["before_suffix"] or "",
            absent_columns=next((known for known in get_args(AbsentColumns) if known == absent), None),
            lob_max_size=self.number(given.get("lob_max_size"), "lob_max_size", MAX_LOB_KIB) or None,
        )

    def _affix(self, node: yaml.Node | None, name: str) -> str | None:
        """A part of column names, which may be empty."""
        if node is None or (isinstance(node, yaml.ScalarNode) and AFFIX.fullmatch(node.value) and node.style):
            return None if node is None else str(node.value)
        return self._matching(node, f"{name} may only hold letters, digits, _, $ and #", AFFIX.fullmatch)

    def _region(self, node: yaml.Node | None, stream: str | None) -> str:
        given = self._matching(node, "region is none, like eu-west-1", REGION.fullmatch)
        of_arn = region_of(stream or "")
        if node is not None and given is not None and of_arn is not None and given != of_arn:
            self.problems.at(node, f"region is {given}, the ARN says {of_arn}: leave it out")
        return of_arn or given or self.region

    def _start(self, node: yaml.Node | None) -> StartAt:
        given = self.text(node, "start")
        if node is None or given is None:
            return self.start
        try:
            return StartAt.parse(given)
        except ValueError as error:
            self.problems.at(node, f"start: {error}")
            return self.start

    def _matching(self, node: yaml.Node | None, otherwise: str, fits: Callable[[str], object]) -> str | None:
        text = self.text(node, otherwise.split(" ", 1)[0])
        if node is None or text is None or fits(text):
            return text
        self.problems.at(node, otherwise)
        return None
