"""HTTP: the exchange, its errors, keys and quotas, and the port."""
