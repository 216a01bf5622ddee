"""The encoder of every adapter."""

import random
from collections.abc import Callable, Mapping

from models.source_spec import Adapter
from sandbox.generator.debezium import Debezium, DebeziumFlat
from sandbox.generator.dms import Dms
from sandbox.generator.dsql import Dsql
from sandbox.generator.dynamodb import DynamoDb
from sandbox.generator.wire import Encoder

ENCODERS: Mapping[Adapter, Callable[[random.Random], Encoder]] = {
    "dms": Dms, "dynamodb": DynamoDb, "debezium": Debezium, "debezium-flat": DebeziumFlat, "dsql": Dsql,
}  # fmt: skip
