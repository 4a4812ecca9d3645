"""`python -m b12screen` is the command `b12screen`."""

from b12screen.cli import from_the_shell

if __name__ == "__main__":
    from_the_shell()
