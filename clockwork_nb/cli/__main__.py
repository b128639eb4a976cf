"""``python -m clockwork_nb.cli``: the same as the ``clockwork`` command."""

from clockwork_nb.cli.main import entry

entry()
