"""Kafka's range assignor, for a member that says where its web server is."""

import json
from collections.abc import Iterable
from typing import Any

from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


class ContiguousAssignor(AbstractPartitionAssignor):
    """Deals out as `RangePartitionAssignor` does, under its name: members of either kind live in one group."""

    name = RangePartitionAssignor.name

    def __init__(self, app: Any) -> None:
        self._app = app

    def assign(self, cluster: Any, members: Any) -> dict[str, ConsumerProtocolMemberAssignment]:
        """See RangePartitionAssignor."""
        return RangePartitionAssignor.assign(cluster, members)

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """The subscription, with the `url` that Faust's own assignor tells, too."""
        told = json.dumps({"url": str(self._app.conf.canonical_url)}).encode()
        return ConsumerProtocolMemberMetadata(RangePartitionAssignor.version, list(topics), told)

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Nothing to remember."""
