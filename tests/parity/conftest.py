"""PyTorch computes with one thread here too."""

from tests.torch_reference.conftest import single_thread

__all__ = ["single_thread"]
