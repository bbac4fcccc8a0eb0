"""What is noted of requests: records, metrics, spans and log lines."""
