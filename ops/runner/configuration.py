"""The configuration of shacached and shacache-admin."""

from .cluster import DATABASE
from .state import State, write_file


def write_configuration(state: State) -> None:
    write_file(
        state.configuration,
        f"""\
# Written by make run at each start.
[database]
connection = "host={state.postgres_socket} dbname={DATABASE}"

[store]
directory = "{state.store}"

[ca]
certificate = "{state.ca / "ca.crt"}"
key = "{state.ca / "ca.key"}"
""",
    )
