"""A term in seconds: the production decision on simulated students, workers and faults."""
