"""`python -m populace.cli` is `populace`."""

from populace.cli.app import main

if __name__ == "__main__":
    main()
