"""Quix Streams: a streaming data frame with its defaults, raw bytes in and out, RocksDB state, no JSON of its own."""

from typing import Any

from quixstreams import Application

from bench.peers.record import arguments, decode, kept


def main() -> None:
    """Run until a signal."""
    parser = arguments(__doc__)
    parser.add_argument("--guarantee", choices=("at-least-once", "exactly-once"), required=True)
    given = parser.parse_args()
    app = Application(
        broker_address=given.bootstrap, consumer_group=given.group, auto_offset_reset="earliest",
        processing_guarantee=given.guarantee, state_dir=given.directory, loglevel="WARNING",
    )  # fmt: skip
    source = app.topic(given.source, value_deserializer="bytes", key_deserializer="bytes")
    output = app.topic(given.output, value_serializer="bytes", key_serializer="bytes")

    def look(value: bytes) -> None:
        decode(value)

    def remember(value: bytes, state: Any) -> None:
        decode(value)
        state.set_bytes("row", kept(value))  # the state of the message's key

    frame = app.dataframe(source)
    frame = frame.update(remember, stateful=True) if given.work == "table" else frame.update(look)
    frame.to_topic(output)
    app.run()


if __name__ == "__main__":
    main()
