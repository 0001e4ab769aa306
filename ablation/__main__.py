"""The command `ablate`, which is `python -m ablation` too: first of all, modules are not looked for where it starts."""

from ablation import safe_path


def main() -> int:
    """Run the command line of this process and return its exit code."""
    safe_path.secure()
    from ablation.cli.main import main as run

    return run()


if __name__ == "__main__":
    raise SystemExit(main())
