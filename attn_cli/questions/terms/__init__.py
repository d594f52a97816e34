"""Glossary of the terms that the tables use."""
