"""The AWS stand-in: Kinesis, EventBridge and SQS over their real wire protocols."""
