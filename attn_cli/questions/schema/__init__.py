"""What the JSON documents hold."""
