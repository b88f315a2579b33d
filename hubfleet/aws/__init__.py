"""What an environment on AWS is before it is made: its cost, its user-data, its checks."""
