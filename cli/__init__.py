"""The `tandem` command: one thin file per verb; what a verb needs is imported when it runs."""
