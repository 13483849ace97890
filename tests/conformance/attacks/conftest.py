"""The servers of the adapter contract serve here too."""

from tests.test_adapters import servers

__all__ = ["servers"]
