"""A plain boto3 loop: ten events to a request, one request after the other, or several threads that take turns; a
hundred to a request for a Custom Event Bus. It has its events in memory. The last line it prints is what it spent.

Threads keep no order: two requests with events of one entity are on their way at once.
"""

import argparse
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config

from bench.publish_events import CUSTOM_BUS, event_id, events

PER_REQUEST, PER_CUSTOM_REQUEST = 10, 100
TIME = 1_768_473_060
Request = dict[str, Any]


def _requests(entries: list[dict[str, Any]], most: int, more: Request) -> Iterator[Request]:
    return iter([more | {"Entries": entries[at : at + most]} for at in range(0, len(entries), most)])


def classic(records: int, entities: int) -> Iterator[Request]:
    """Of a bus by name."""
    entries = [
        {"EventBusName": "bench", "Source": "cdc-pipeline.users", "DetailType": "user.updated",
         "Detail": value.decode(), "Time": TIME}
        for _, value in events(records, entities)
    ]  # fmt: skip
    return _requests(entries, PER_REQUEST, {})


def custom(records: int, entities: int) -> Iterator[Request]:
    """Of a Custom Event Bus: every entity is a group, every event its own repeat."""
    entries = [
        {"Source": "cdc-pipeline.users", "DetailType": "user.updated", "Detail": value.decode(), "Time": TIME,
         "SystemMetadata": {"EventGroupId": f"users:{entity}", "DeduplicationId": event_id(number)}}
        for number, (entity, value) in enumerate(events(records, entities))
    ]  # fmt: skip
    return _requests(entries, PER_CUSTOM_REQUEST, {"EventBusArn": CUSTOM_BUS})


GENERATIONS: dict[str, Callable[[int, int], Iterator[Request]]] = {"events": classic, "eventbridgev2": custom}


def main() -> None:
    """Send everything, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--entities", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--service", choices=GENERATIONS, default="events")
    given = parser.parse_args()
    client = boto3.client(
        given.service, endpoint_url=given.endpoint, region_name="us-east-1", aws_access_key_id="bench",
        aws_secret_access_key="bench", config=Config(retries={"total_max_attempts": 1}, max_pool_connections=64),
    )  # fmt: skip
    waiting, lock = GENERATIONS[given.service](given.records, given.entities), threading.Lock()

    def send() -> None:
        while True:
            with lock:
                request = next(waiting, None)
            if request is None:
                return
            if client.put_events(**request)["FailedEntryCount"]:
                raise SystemExit("an entry failed")

    started, spent = time.time(), time.process_time()
    with ThreadPoolExecutor(given.threads) as threads:
        for done in [threads.submit(send) for _ in range(given.threads)]:
            done.result()
    print(json.dumps({"seconds": time.time() - started, "cpu": time.process_time() - spent}))


if __name__ == "__main__":
    main()
