"""AI calls: the OpenAI-shaped endpoints, published prompts, and what tokens cost."""
