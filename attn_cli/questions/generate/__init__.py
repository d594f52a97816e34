"""What a model writes behind a prompt, with the words that it looks at as it writes each word."""
