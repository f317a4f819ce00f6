"""STATE/env: what a script needs to know. It is there exactly while the cache is ready."""

from urllib.parse import quote

from .cluster import DATABASE
from .demo import Client
from .state import State, write_file


def write_environment(client: Client, state: State) -> None:
    def database(role: str) -> str:
        # Without an ampersand: a shell reads this file, too.
        return f"postgresql://{role}@/{DATABASE}?host={quote(str(state.postgres_socket))}"

    values = {
        "SHACACHE_URL": client.download_shacache,
        "SHADIR_URL": client.download_shadir,
        "UPLOAD_SHACACHE_URL": client.upload_shacache,
        "UPLOAD_SHADIR_URL": client.upload_shadir,
        "CA_FILE": client.authority,
        "CLIENT_CERT": client.certificate,
        "CLIENT_KEY": client.key,
        "SIGN_KEY": client.signature_key,
        "SIGN_CERT": client.signature_certificate,
        "DATABASE_URL": database("shacache_owner"),
        "REPORT_DATABASE_URL": database("shacache_report"),
        "STORE_DIR": state.store,
        "PGDATA": state.pgdata,
    }
    write_file(state.env, "".join(f"{name}={value}\n" for name, value in values.items()))
