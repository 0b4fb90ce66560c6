"""From measurements to a profile: fits, what they can see, and how far they may be trusted."""
