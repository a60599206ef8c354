"""Start: where `fj` begins, before anything of it is loaded."""

import gc

GARBAGE = 50_000  #: objects; most commands end before it is worth while to look for any


def main() -> None:
    """Load the command line without searching for garbage meanwhile, and run it."""
    gc.set_threshold(GARBAGE)
    from fleetjobs.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
