"""Models of transformers: their files, tokenizers and texts."""
