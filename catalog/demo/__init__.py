"""The demo tenant: something of everything, all of it working without any provider's key."""
