"""What stands in the compose file is what the code says."""

from pathlib import Path
from typing import Any

import yaml

from sandbox.telephony_tables import script
from workers.settings.worker import environment_names

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


def test_every_setting_of_a_service_is_one_the_worker_knows() -> None:
    told = {
        name for service in ("worker-1", "worker-2", "demo") for name in COMPOSE["services"][service]["environment"]
    }
    credentials = {"AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert told - credentials <= environment_names().keys()


def test_the_tables_of_the_database_are_those_of_the_catalogue() -> None:
    assert (ROOT / "deploy/compose/coredb.sql").read_text(encoding="utf-8") == script("coredb")


def test_workers_differ_in_name_address_and_port_alone() -> None:
    first, second = (dict(COMPOSE["services"][name]) for name in ("worker-1", "worker-2"))
    assert first.pop("ports") != second.pop("ports")
    environments = [dict(service.pop("environment")) for service in (first, second)]
    for environment in environments:
        del environment["CDC_WORKER_NAME"], environment["CDC_WEB_ADVERTISE"]
    assert (first, environments[0]) == (second, environments[1])


def test_ports_are_published_on_the_loopback_of_the_host_only() -> None:
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_no_container_of_ours_may_do_more_than_it_needs() -> None:
    ours = [service for service in COMPOSE["services"].values() if service["image"].startswith("cdc-worker")]
    assert len(ours) == 5
    assert all(service["read_only"] and service["cap_drop"] == ["ALL"] and "user" not in service for service in ours)
