"""Whether a worker keeps the memory that it has: half an hour of what real life brings."""
