"""Roles of each attention head (`attn heads`)."""
