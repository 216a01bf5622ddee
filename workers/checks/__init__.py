"""What `cdc check` looks at: settings, tables, and whether Kafka is as the worker needs it."""
