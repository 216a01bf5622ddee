"""A plain boto3 loop: ten events to a request, one request after the other, or several threads that take turns. It has
its events in memory. The last line it prints is what it spent.

Threads keep no order: two requests with events of one entity are on their way at once.
"""

import argparse
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config

from bench.publish_events import events

PER_REQUEST = 10
TIME = 1_768_473_060


def requests(records: int, entities: int) -> Iterator[list[dict[str, Any]]]:
    """Entries of the requests."""
    entries = [
        {"EventBusName": "bench", "Source": "cdc-pipeline.users", "DetailType": "user.updated",
         "Detail": value.decode(), "Time": TIME}
        for _, value in events(records, entities)
    ]  # fmt: skip
    return iter([entries[at : at + PER_REQUEST] for at in range(0, records, PER_REQUEST)])


def main() -> None:
    """Send everything, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--entities", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    client = boto3.client(
        "events", endpoint_url=given.endpoint, region_name="us-east-1", aws_access_key_id="bench",
        aws_secret_access_key="bench", config=Config(retries={"total_max_attempts": 1}, max_pool_connections=64),
    )  # fmt: skip
    waiting, lock = requests(given.records, given.entities), threading.Lock()

    def send() -> None:
        while True:
            with lock:
                entries = next(waiting, None)
            if entries is None:
                return
            if client.put_events(Entries=entries)["FailedEntryCount"]:
                raise SystemExit("an entry failed")

    started, spent = time.time(), time.process_time()
    with ThreadPoolExecutor(given.threads) as threads:
        for done in [threads.submit(send) for _ in range(given.threads)]:
            done.result()
    print(json.dumps({"seconds": time.time() - started, "cpu": time.process_time() - spent}))


if __name__ == "__main__":
    main()
