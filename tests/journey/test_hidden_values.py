"""P6 over a whole worker: no value of a row that a rule takes is in anything it says to anybody, whatever the way."""

import contextlib
import gzip
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sandbox.ports import free_ports
from sandbox.world import World
from tests.contract.test_redacted_everywhere import TABLES, corpus
from tests.journey.test_worker_command import get, text, until_web
from tests.journey.traffic import Outside
from tests.journey.worker_process import WorkerProcess, own_environment
from workers.cli.main import cdc

CANARY = "CANARY"
"""With a digit behind it; the setting CDC_CANARY is none."""
WITHOUT_SERIES = {"cdc_database_up", "cdc_worker_left_timestamp_seconds"}
"""No database is configured here, and no worker has left."""
STAGES = ("bridge", "enrich", "publish", "dead")
NAME = "hidden"
WAIT_SECONDS = 120.0
EVENTS, LETTERS = 6, 4
"""That become of the corpus."""


class Collector(BaseHTTPRequestHandler):
    """Takes spans like an OpenTelemetry collector."""

    got: list[bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  http.server's name
        """Quiet."""


@contextlib.contextmanager
def collecting() -> Iterator[tuple[str, list[bytes]]]:
    """(address, what came)."""
    Collector.got = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", Collector.got
    finally:
        server.shutdown()
        server.server_close()


class Listening:
    """What the alert topic and the queue of dead letters are told."""

    def __init__(self, outside: Outside) -> None:
        sqs, sns = outside.client("sqs"), outside.client("sns")
        self._sqs = sqs
        self.alerts, self.letters = (sqs.create_queue(QueueName=f"{NAME}-{of}")["QueueUrl"] for of in ("alerts", "dlq"))
        arn = sqs.get_queue_attributes(QueueUrl=self.alerts, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.topic = sns.create_topic(Name=NAME)["TopicArn"]
        sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn)

    def heard(self, url: str) -> list[str]:
        """Bodies of messages that came so far."""
        found = self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=20)
        return [one["Body"] for one in found.get("Messages", [])]


def until_through(web: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    stages: dict[str, Any] = {}
    while time.monotonic() < deadline:
        stages = {stage["name"]: stage["outcomes"] for stage in get(f"{web}/api/pipeline")["stages"]}
        if stages["publish"].get("out", 0) >= EVENTS and stages["archive"].get("out", 0) >= LETTERS:
            return
        time.sleep(0.2)
    pytest.fail(f"not all came through: {stages}")


def test_no_canary_is_in_spans_figures_alerts_pages_or_the_output_of_commands(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [health] = free_ports(1)
    (tmp_path / "tables.yaml").write_text(TABLES, encoding="utf-8")
    with collecting() as (collector, spans):
        environment = own_environment(world.environment(), NAME) | {
            "CDC_TABLES": str(tmp_path / "tables.yaml"), "CDC_CATALOGUE": "none", "CDC_HEALTH_PORT": str(health),
            "CDC_TRACES": "otlp", "CDC_TRACE_SHARE": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
            "OTEL_BSP_SCHEDULE_DELAY": "200", "CDC_HEALTH_CLOUDWATCH": "true", "CDC_HEALTH_INTERVAL": "1",
            "DLQ_ARCHIVE_BUCKET": f"{NAME}-letters",
        }  # fmt: skip
        outside = Outside(environment)
        outside.make(1)
        listening = Listening(outside)
        environment |= {"ALERT_TOPIC_ARN": listening.topic, "CDC_DLQ_QUEUE_URL": listening.letters}
        outside.client("s3").create_bucket(Bucket=environment["DLQ_ARCHIVE_BUCKET"])
        worker = WorkerProcess(environment, tmp_path, "one")
        worker.start()
        try:
            web = until_web(worker)
            kinesis = outside.client("kinesis")
            for number, data in enumerate(corpus()):
                kinesis.put_record(
                    StreamName=environment["KINESIS_STREAM_NAME"], Data=data, PartitionKey=f"{CANARY}{number:04d}k"
                )
            until_through(web)
            said = dict(by_the_web(web, health))
            for name in [name for name in os.environ if name.startswith(("CDC_", "AWS_"))]:
                monkeypatch.delenv(name)
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            monkeypatch.chdir(tmp_path)
            said |= dict(by_commands())
            figures = figures_of(outside)
        finally:
            worker.stop() if worker.running else None
            worker.end()
    said |= {
        "the log": worker.log.read_text(), "figures": json.dumps(figures, default=str),
        "alerts": json.dumps(listening.heard(listening.alerts)),
        "letters": json.dumps(listening.heard(listening.letters)),
        "spans": b"".join(spans).decode("latin-1"),
    }  # fmt: skip
    assert [name for name, found in said.items() if re.search(rf"{CANARY}\d", found)] == []
    # Each of them says something about these records.
    letters = ("alerts", "letters", "cdc tail", "cdc dlq list", "peek dead", "/api/dead-letters")
    assert [name for name in letters if "PARSE_ERROR" not in said[name]] == []
    assert all(span in said["spans"] for span in ("bridge", "enrich", "publish"))
    assert {"DeadLetters", "Errors"} <= {one["MetricName"] for one in figures}
    rows = ("cdc tail", "cdc trace --steps", "cdc table explain", "peek enrich")
    assert [name for name in rows if "evt_" not in said[name]] == []
    assert (
        asked_by_alerts() - set(re.findall(r"^(\w+?)(?:_bucket)?[{ ]", said["metrics"], re.MULTILINE)) == WITHOUT_SERIES
    )
    assert all("people" in said[name] for name in ("cdc table find", "/api/tables/find?table=people", "metrics"))


def asked_by_alerts() -> set[str]:
    """Metrics of the alert rules: what no worker tells, no rule hears."""
    rules = (Path(__file__).parents[2] / "deploy/prometheus/alerts.yaml").read_text(encoding="utf-8")
    return {name.removesuffix("_bucket") for name in re.findall(r"\bcdc_\w+", rules)}


def by_the_web(web: str, health: int) -> Iterator[tuple[str, str]]:
    """(what, what it says)."""
    for page in (
        "/",
        "/api/pipeline",
        "/api/sources",
        "/api/logs",
        "/api/health",
        "/api/config",
        "/api/stages",
        "/status",
        "/api/tables",
        "/api/tables/find?table=people",
        "/api/tables/find?table=owners",
        "/api/dead-letters",
    ):
        yield page, text(web + page)
    for stage in STAGES:
        yield f"peek {stage}", text(f"{web}/api/peek/past?stage={stage}")
    yield "metrics", text(f"http://127.0.0.1:{health}/metrics")


def by_commands() -> Iterator[tuple[str, str]]:
    """(command, what it says); what is about rows as a document and as people read it."""

    def ran(*words: str, output: str = "json") -> str:
        done = CliRunner().invoke(cdc, [*words, "--output", output])
        assert done.exit_code in (0, 1, 7), (words, done.output)
        return done.output

    stages = [word for stage in STAGES for word in ("--stage", stage)]
    lines = ran("tail", *stages, "--from", "1h", "--no-follow", output="jsonl")
    yield "cdc tail", lines + ran("tail", *stages, "--from", "1h", "--no-follow", output="table")
    told = (json.loads(line) for line in lines.splitlines() if line.startswith("{"))
    # The loaded row has an id as well, of an event that is not made.
    one = min(record["eventId"] for record in told if record["stage"] == "enrich")
    about_rows = [
        ["trace", "--steps", one], ["table", "explain", one], ["table", "find", "people"], ["dlq", "list"],
    ]  # fmt: skip
    for words in about_rows:
        yield f"cdc {' '.join(words[:2])}", ran(*words) + ran(*words, output="table")
    others = [
        ["status", "--details", "--sample", "0"], ["health"], ["config", "show"], ["logs", "--level", "debug"],
        ["dlq", "show", "0:0"], ["schema", "drift"],
    ]  # fmt: skip
    for words in others:
        yield f"cdc {' '.join(words[:2])}", ran(*words)


def figures_of(outside: Outside) -> list[dict[str, Any]]:
    """What CloudWatch has heard, as soon as it has heard anything."""
    cloudwatch: Any = outside.client("cloudwatch")
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        found: list[dict[str, Any]] = cloudwatch.list_metrics(Namespace="CdcWorker")["Metrics"]
        own = [one for one in found if {"Name": "App", "Value": NAME} in one["Dimensions"]]
        if own:
            return own
        time.sleep(0.2)
    return []
