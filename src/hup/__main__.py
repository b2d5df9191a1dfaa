"""``python -m hup`` is the command line."""

from hup.cli import main

if __name__ == "__main__":
    main()
