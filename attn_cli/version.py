"""The version, on its own so that whoever writes it into a document imports nothing else."""

__all__ = ["__version__"]

__version__ = "0.1.0"
