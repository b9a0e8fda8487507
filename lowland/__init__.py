"""Lowland: train models into flat minima, through a REST server.

The contract is `lowland.spec`, the client `lowland.client`, the command line `lowland.cli`. Importing this is instant.
"""

__version__ = "0.1.0"
