"""JSON Schema of the documents that `--json` prints."""
