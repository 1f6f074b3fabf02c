"""`python -m picie`: the same as the command `picie`."""

from picie.cli.app import main

if __name__ == "__main__":
    main()
