"""Designed experiments on hybrid quantum-classical text classifiers, from a laptop to a Slurm cluster."""

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version  # takes longer than all else that `import hadamard` does

        return version("hadamard")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
