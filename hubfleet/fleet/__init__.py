"""What can start and end machines."""
