"""The whole worker at a Kafka that wants TLS and a password: it works, or it says what is wrong and nothing else."""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.kafka.broker import KafkaBroker
from sandbox.kafka.security import Certificates, add_scram_user, make_certificates, password_listener
from sandbox.world import World
from tests.journey.traffic import Outside, Verdict, changes
from tests.journey.worker_process import WorkerProcess, own_environment

USER, PASSWORD, WRONG = "worker-1", "right-pa55word", "wr0ng-pa55word"
MECHANISM = "SCRAM-SHA-512"
WAIT_SECONDS = 60.0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[KafkaBroker]:
    listeners = [
        password_listener("LOGIN", MECHANISM, {}, certificates),
        password_listener("PLAIN", "PLAIN", {USER: PASSWORD}, certificates),
    ]
    with contextlib.closing(KafkaBroker(tmp_path_factory.mktemp("broker") / "kafka", listeners=listeners)) as broker:
        broker.start()
        asyncio.run(add_scram_user(broker.bootstrap, USER, PASSWORD, MECHANISM))
        yield broker


def login(kafka: KafkaBroker, certificates: Certificates, directory: Path, password: str) -> dict[str, str]:
    (directory / "password").write_text(password + "\n")
    return {
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:1,{kafka.address_of('LOGIN')}",
        "CDC_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "CDC_KAFKA_CA_FILE": str(certificates.authority),
        "CDC_KAFKA_SASL_MECHANISM": MECHANISM,
        "CDC_KAFKA_USERNAME": USER,
        "CDC_KAFKA_PASSWORD_FILE": str(directory / "password"),
        "CDC_KAFKA_COMPRESSION": "zstd",
    }


def test_every_connection_of_the_worker_logs_in(
    world: World, kafka: KafkaBroker, certificates: Certificates, tmp_path: Path
) -> None:
    environment = own_environment(world.environment(), "login") | login(kafka, certificates, tmp_path, PASSWORD)
    outside = Outside(environment)
    queue = outside.make()
    verdict, sent = Verdict(), list(changes(7, 40))
    for change in sent:
        verdict.expect(change)
    worker = WorkerProcess(environment, tmp_path, "one")
    worker.start()
    try:
        outside.put(outside.client("kinesis"), sent)
        sqs = outside.client("sqs")
        deadline = time.monotonic() + WAIT_SECONDS
        while verdict.missing and time.monotonic() < deadline:
            outside.drain(sqs, queue, verdict, 1)
        missing = verdict.missing
        code = worker.stop()
    finally:
        worker.end()
    said = worker.log.read_text()
    assert not missing, said[-2000:]
    assert code == 0
    assert PASSWORD not in said


ROUTES = {
    "cdc worker": ["-m", "workers", "worker"],
    "cdc worker, bridge alone": ["-m", "workers", "worker", "--stages", "bridge"],
    "cdc worker at DEBUG": ["-m", "workers", "worker", "--log-level", "debug"],
    "faust worker at DEBUG": [
        "-m",
        "faust",
        "-A",
        "workers.app:enrich",
        "worker",
        "--loglevel",
        "debug",
        "--without-web",
    ],
}


@pytest.mark.parametrize("route", ROUTES)
def test_a_wrong_password_ends_the_start_with_what_to_do_and_is_never_shown(
    world: World, kafka: KafkaBroker, certificates: Certificates, tmp_path: Path, route: str
) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CDC_", "AWS_"))}
    plain = {  # the one that sends the password itself
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:1,{kafka.address_of('PLAIN')}", "CDC_KAFKA_SASL_MECHANISM": "PLAIN",
    }  # fmt: skip
    own = own_environment(world.environment(), "denied") | login(kafka, certificates, tmp_path, WRONG) | plain
    ended = subprocess.run(
        [sys.executable, *ROUTES[route]], env=inherited | own | {"CDC_DATA_DIR": str(tmp_path / "data")}, cwd=tmp_path,
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    said = ended.stdout + ended.stderr
    assert ended.returncode == (3 if route.startswith("cdc") else 1), said[-3000:]
    assert re.search(r"refuses this worker: SaslAuthenticationFailed; check CDC_KAFKA_SASL_MECHANISM", said)
    assert WRONG not in said
