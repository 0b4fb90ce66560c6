"""Several simulated instances as one service, driven by the schedule of a real load point, in virtual time."""
