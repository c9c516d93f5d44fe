"""What a call costs, beside other gateways in the same run: ``make bench``."""
