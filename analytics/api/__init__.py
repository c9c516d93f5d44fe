"""Usage in the management API, below ``/api/usage/``: for members, and for applications
about themselves."""
