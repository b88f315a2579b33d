"""The local fleet as a service: what an Auto Scaling group and its queue are on AWS.

It runs beside the deployment, in a container that holds the machine's engine socket, so that no
machine of the deployment needs it. docs/explanation/local-fleet.md tells how it behaves.
"""
