"""What takes longer: servers that are killed, filled up, restored, and put under load."""
