"""The console: a page that shows cloud and device at work, served as it lies here, and what only it asks the server."""
