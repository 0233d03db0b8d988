"""The application as users see it, with real workers."""
