"""The configuration of shacached and shacache-admin."""

from .cluster import DATABASE
from .settings import Settings
from .state import State, write_file


def write_configuration(settings: Settings, state: State) -> None:
    write_file(
        state.configuration,
        f"""\
# Written by make run at each start.
[database]
connection = "host={state.postgres_socket} dbname={DATABASE}"

[store]
directory = "{state.store}"

[site]
download-url = "http://localhost:{settings.http_port}"
upload-url = "https://localhost:{settings.https_port}"
authority = "{state.ca / "ca.crt"}"

[ca]
certificate = "{state.ca / "ca.crt"}"
key = "{state.ca / "ca.key"}"

[metrics]
directory = "{state.metrics}"
certificates = ["{state.tls / "server.crt"}", "{state.tls / "clients-ca.crt"}"]
""",
    )
