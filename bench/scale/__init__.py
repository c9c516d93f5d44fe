"""How the gateway scales: workers, tenants, open connections, memory (``make bench-scale``)."""
