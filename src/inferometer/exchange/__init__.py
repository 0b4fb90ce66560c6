"""What others write and read: result files in and out, command lines of other tools, trackers."""
