"""The world on one machine: Kafka, an AWS stand-in, a change generator."""
