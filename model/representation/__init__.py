"""From sentences to embeddings: sentence encoders, frozen or tuned, and the cache."""
