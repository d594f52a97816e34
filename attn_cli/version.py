"""The version, in its own module so that documents can include it without other imports."""

__all__ = ["__version__"]

__version__ = "0.1.0"
