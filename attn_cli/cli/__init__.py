"""The command line: one file a command, and `app`, the one place that shows errors and exits."""
