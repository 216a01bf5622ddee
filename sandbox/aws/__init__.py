"""An AWS stand-in on loopback: Kinesis, EventBridge and SQS over their real wire protocols, for unmodified clients."""
