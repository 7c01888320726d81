"""Run one notebook, as papermill does on its command line, without its hanging now and then over live widgets.

    python book/execute.py IN.ipynb OUT.ipynb --execution-timeout 300

nbclient answers every output inside a widget with a message to the kernel, sent past asyncio on the very socket where
asyncio waits for the end of the cell. If that end arrives meanwhile, asyncio is never woken: kernel idle, client
waiting. The answer tells the kernel what nbclient keeps anyway, so here it is left out.
"""

from __future__ import annotations

import sys
from typing import Any

from nbclient.output_widget import OutputWidget
from papermill.cli import papermill
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.log import logger


class SilentOutput(OutputWidget):
    """What an Output widget shows, kept for the notebook and not told to the kernel."""

    def sync_state(self) -> None:
        """Send nothing."""


class Engine(NBClientEngine):
    """papermill's own way to run a notebook, but for the Output widgets."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, start_timeout: int = 60, execution_timeout: int | None = None, **_: Any
    ) -> Any:
        """Run it; a cell that takes longer than ``execution_timeout`` seconds fails."""
        client = PapermillNotebookClient(
            nb_man, kernel_name=kernel_name, log=logger, startup_timeout=start_timeout, timeout=execution_timeout
        )
        client.widget_registry["@jupyter-widgets/output"]["OutputModel"] = SilentOutput
        # Temporary folders of a chapter go when its kernel ends by itself, for which a busy machine needs its time.
        client.create_kernel_manager().shutdown_wait_time = 60
        return client.execute()


if __name__ == "__main__":
    papermill_engines.register("book", Engine)
    papermill(["--engine", "book", *sys.argv[1:]])
