"""Reading Kinesis: shards, positions, source slots."""
