"""What the flags of each engine mean for its simulation, with the defaults of the version that each module names."""
