"""The formats of moderation: each has the shape of ``proxy.ai.formats.Simple`` with the types of
``proxy.ai.middle.moderation``."""
