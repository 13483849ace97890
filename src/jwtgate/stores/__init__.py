"""Memory of seen proofs and revoked tokens: of one process, of one host, or of many."""

from .memory import MemoryStore
from .opening import open_store
from .proofs import SeenProofs
from .store import Changes, Store

__all__ = ["Changes", "MemoryStore", "SeenProofs", "Store", "open_store"]
