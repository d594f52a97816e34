"""Drawings and documents of what each command finds: one file a finding."""
