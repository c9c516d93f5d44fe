"""The formats of embeddings: each has the shape of ``proxy.ai.formats.Simple`` with the types of
``proxy.ai.middle.embedding``."""
