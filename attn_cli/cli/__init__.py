"""The parts of the command line that commands share, and `app`, the one place that shows errors and exits."""
