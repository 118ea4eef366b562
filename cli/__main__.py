"""`python -m cli` is `tandem`."""

from cli.main import main

if __name__ == "__main__":
    main()
