"""What leaves the pipeline about dead letters and trouble: objects in S3, pointers in SQS, alerts through SNS."""
