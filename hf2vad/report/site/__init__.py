"""The review site: static pages of a run's scores, opened from disk or from a bucket, without a server."""
