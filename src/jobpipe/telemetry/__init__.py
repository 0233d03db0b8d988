"""What happens, as typed events; logs are a rendering of them."""
