"""The whole loop through the real command, in processes of its own."""
