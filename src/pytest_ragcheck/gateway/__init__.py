"""The one door to a model: cache, limit, retry, price."""
