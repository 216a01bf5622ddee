"""An AWS stand-in on loopback: Kinesis, EventBridge, SQS and STS over their real protocols, for unmodified clients."""
