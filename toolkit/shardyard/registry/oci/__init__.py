"""A client of any OCI registry, on urllib3: manifests, blobs, mounts, tokens. Nothing is kept in memory whole."""
