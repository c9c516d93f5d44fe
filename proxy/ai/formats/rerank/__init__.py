"""The formats of reranking: each has the shape of ``proxy.ai.formats.Simple`` with the types of
``proxy.ai.middle.rerank``."""
