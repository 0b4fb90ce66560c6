"""The one loop that joins workload, schedule and client, and the process it runs in."""
