"""``make clients``: the SDKs and frameworks that applications use, unchanged, against a gateway."""
