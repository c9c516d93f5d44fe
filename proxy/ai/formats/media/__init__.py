"""The formats of pictures, speech and transcripts: each has the shape of
``proxy.ai.formats.Simple`` with the types of ``proxy.ai.middle.media``."""
