"""Reading and writing: documents, their schemas, and files in each format."""
