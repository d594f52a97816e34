"""What is written and read: documents, their schemas, and files in each format."""
