"""Runs the notebooks from nothing and keeps what they print: `make notebooks`.

    scripts/notebooks.py [FOLDER]      FOLDER for the notebooks as they ran; default: where they are

A notebook that warns is mended, not kept: what goes to stderr is an error here.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
SECONDS = 600  # most of a cell


def ran(path: Path) -> NotebookNode:
    """Run a notebook in an empty folder and give it back with its outputs, and with nothing of this machine.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        A cell fails.
    ValueError
        A cell writes to stderr.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        # A person's own start-up files of IPython would be run, too, and have a say in the outputs.
        os.environ["IPYTHONDIR"] = str(Path(folder, "ipython"))
        os.environ["JUPYTER_RUNTIME_DIR"] = str(Path(folder, "runtime"))
        NotebookClient(
            notebook,
            timeout=SECONDS,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            coalesce_streams=True,
            record_timing=False,
        ).execute()
    warned = [
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream" and output.name == "stderr"
    ]
    if warned:
        raise ValueError(f"{path.name} writes to stderr: {warned[0]}")
    notebook.metadata["language_info"] = {"name": "python"}  # without the version that happened to run it
    return notebook


def main(out: Path) -> None:
    """Run all notebooks, one after the other."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        print(f"Running {path.name}", flush=True)
        nbformat.write(ran(path), out / path.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else NOTEBOOKS)
