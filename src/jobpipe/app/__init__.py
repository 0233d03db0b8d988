"""The one application API under every front: requests in, views out."""
