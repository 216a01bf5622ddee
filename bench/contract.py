"""The change contract beside two references: `python -m bench.contract`. Raw record -> event, one core, no broker."""

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from bench.contract_records import LARGEST, SMALLEST, TELEPHONY, Prepared, prepared
from bench.environments import HOME, PRODUCT, interpreter, versions
from bench.peers.contract_pydantic import PydanticPipeline
from bench.results import Results, Run, machine, source_code
from bench.summary import Ratio, table
from bench.window import say
from enrichers.enriched import Enriched
from enrichers.in_memory import InMemoryState
from enrichers.pipeline import Pipeline, PipelineOptions
from models.outcome import Ok
from models.raw import RawRecord
from workers.version import is_compiled

SECTION = "contract"
OURS, MSGSPEC, PYDANTIC = "ours", "msgspec_decode_encode", "json_pydantic"
FIELD = (MSGSPEC, OURS, PYDANTIC)
MEASURED = ("models", "enrichers")
BUILD = {True: "compiled", False: "not compiled"}
RATIOS: dict[str, Ratio] = {
    "vs_msgspec": (SECTION, "rate", OURS, MSGSPEC),
    "vs_pydantic": (SECTION, "rate", OURS, PYDANTIC),
}
KEY = b"a redaction key of the bench"
SERVICE, ENVIRONMENT = "cdc-pipeline", "PRD"


class ContractFailed(Exception):
    """Ours and the reference do not make the same event of a record: there is nothing to compare."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.contract", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"""\
contestants
  {MSGSPEC:<22} msgspec decodes the bytes and encodes what it decoded: nothing else, a ceiling
  {OURS:<22} the pipeline as the enrich stage runs it: decode, validate, remember, owner (from columns and from a
  {"":<22} lookup), diff, transform, redact, normalize, encode, and what is remembered
  {PYDANTIC:<22} the same with json and pydantic, written by hand; its events have to be ours, byte for byte

Records are DMS updates with before image, {SMALLEST} to {LARGEST} bytes. Figures are CPU time of one thread; a round
runs all three one after the other, the next one in the reverse order. `make bench-contract` measures the compiled
build, which is what the image runs; this command alone measures the sources. The last line on stdout is one JSON
object.""",
    )  # fmt: skip
    parser.add_argument("--pairs", type=int, default=7, help="rounds (default 7)")
    parser.add_argument("--records", type=int, default=20_000, help="records per run (default 20,000)")
    parser.add_argument("--output", choices=("text", "json"), default="text", help="json: nothing but the last line")
    parser.add_argument(
        "--results", type=Path, default=HOME / "contract.json", help="file of results (.bench/contract.json)"
    )
    parser.add_argument("--fresh", action="store_true", help="do not go on with earlier results")
    given = parser.parse_args()
    if given.pairs < 1 or given.records < 1_000:
        parser.error("at least one pair and 1,000 records")
    return given


class Ours:
    """The pipeline and its memory, as the enrich stage has them, without Kafka under the tables."""

    def __init__(self) -> None:
        options = PipelineOptions(service=SERVICE, environment=ENVIRONMENT, redaction_key=KEY)
        self._pipeline = Pipeline(TELEPHONY, options)
        self._state = InMemoryState()

    def run(self, record: RawRecord) -> Enriched:
        """One record, and what is remembered of it."""
        enriched = self._pipeline.run(record, self._state)
        self._state.apply(enriched.effects)
        return enriched

    def event(self, record: RawRecord) -> bytes:
        """Its event. Raises ContractFailed."""
        match self.run(record).outcome:
            case Ok(event):
                return event.value
            case other:
                raise ContractFailed(f"a record of {record.table} became {other}")


def check(records: Prepared) -> None:
    """All updates have the same events from both. Raises ContractFailed."""
    ours, theirs = Ours(), PydanticPipeline(TELEPHONY, SERVICE, ENVIRONMENT)
    for record in records.loads:
        ours.run(record)
        theirs.run(record)
    for record in records.updates:
        if ours.event(record) != theirs.run(record):
            raise ContractFailed(f"another event of {record.table}, offset {record.offset}")


def contestants(records: Prepared) -> dict[str, Callable[[RawRecord], Any]]:
    """Fresh ones, that have seen the full load."""
    ours, theirs = Ours(), PydanticPipeline(TELEPHONY, SERVICE, ENVIRONMENT)
    for record in records.loads:
        ours.run(record)
        theirs.run(record)
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
    return {OURS: ours.run, PYDANTIC: theirs.run, MSGSPEC: lambda record: encode(decode(record.value or b""))}


def measured(run: Callable[[RawRecord], Any], records: list[RawRecord]) -> Run:
    """Rate and CPU time per record of one contestant."""
    began = time.process_time()
    for record in records:
        run(record)
    seconds = time.process_time() - began
    return {"rate": len(records) / seconds, "cpu_us": seconds / len(records) * 1e6}


def summary(results: Results) -> dict[str, Any]:
    """One flat object."""
    found: dict[str, Any] = {name: results.ratio(*of) for name, of in RATIOS.items()}
    return found | {
        "records_per_s": results.median(SECTION, "rate", OURS),
        "rounds": results.done(SECTION),
        "compiled": is_compiled(),
    }


def main() -> int:
    """The command; returns the exit code."""
    given = arguments()
    if given.fresh:
        given.results.unlink(missing_ok=True)
    head = {
        "settings": {"records": given.records}, "source_code": source_code(*MEASURED), "machine": machine(),
        "compiled": is_compiled(),
        "versions": versions(interpreter(PRODUCT, say), "msgspec", "pydantic"),
    }  # fmt: skip
    results = Results.open(given.results, head, say)
    records = prepared(given.records)
    try:
        check(records)
    except ContractFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    say(f"{given.records:,} records have the same events from {OURS} ({BUILD[is_compiled()]}) and {PYDANTIC}")
    gc.collect()
    gc.freeze()  # the prepared records are nobody's garbage
    for number in range(results.done(SECTION), given.pairs):
        order = FIELD if number % 2 == 0 else FIELD[::-1]
        field = contestants(records)
        runs = {name: measured(field[name], records.updates) for name in order}
        results.add(SECTION, time.strftime("%Y-%m-%dT%H:%M:%S"), order, runs)
        told = ", ".join(f"{name} {run['cpu_us']:.1f} µs" for name, run in runs.items())
        say(f"round {number + 1} of {given.pairs}: {told}")
    if given.output == "text":
        print(table(results, {SECTION: ("rate", "cpu_us")}, RATIOS))
    print(json.dumps(summary(results)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
