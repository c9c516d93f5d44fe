"""Responses that OpenAI and others keep, each in the account that made it.

Read it in this order: ``holders`` (which account that is), ``noting`` (of an answer on its way),
``following`` (requests that go on from one), ``serve`` (one is shown, deleted or cancelled).
"""
