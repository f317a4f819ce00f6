"""What is told when all is ready: to a person, what runs where and what to type next; to a script, STATE/env, which is
there exactly while the cache is ready."""

from urllib.parse import quote

from .demo import Client
from .options import Options
from .postgresql import DATABASE
from .settings import REPOSITORY, Settings
from .state import State, write_file


TEXT = """\
ShaCache is ready after {seconds:.1f} s; everything lies under {root}.
{steps}
Downloads  {c.download_shacache}
           {c.download_shadir}
Uploads    {c.upload_shacache}
           {c.upload_shadir}
To look at {page}
{notes}
Try it with shacache, in another terminal:

  export SHACACHE_CONFIG={c.configuration}
  {shacache} doctor
  {shacache} upload {file} --key try:shacache --meta file={file.name}
  {shacache} lookup --key try:shacache
  {shacache} download --key try:shacache | cmp - {file} && echo the same bytes

with curl:

  hash=$(curl -sS --cacert {c.authority} --cert {c.certificate} \\
    --key {c.key} --data-binary @{file} {c.upload_shacache})
  metadata="{{\\"sha512\\": \\"$hash\\", \\"file\\": \\"{file.name}\\"}}"
  signature=$(printf %s "$metadata" | openssl dgst -sha1 -sign {c.signature_key} | base64 -w 0)
  python3 -c 'import json, sys; print(json.dumps(sys.argv[1:]))' "$metadata" "$signature" |
    curl -sS --cacert {c.authority} --cert {c.certificate} \\
    --key {c.key} -X PUT --data-binary @- {c.upload_shadir}/try:curl
  curl -sS {c.download_shadir}/try:curl
  curl -sS {c.download_shacache}/$hash | cmp - {file} && echo the same bytes

or with the client that SlapOS uses:

  python3 -m venv {client}/venv && {client}/venv/bin/pip install slapos.libnetworkcache==0.30
  {client}/venv/bin/networkcache-upload -c {c.configuration} -k try:client -f {file} file={file.name}
  {client}/venv/bin/networkcache-download -c {c.configuration} -k try:client -l
  {client}/venv/bin/networkcache-download -c {c.configuration} -k try:client | cmp - {file} && echo the same bytes
{near}
Ctrl-C ends it. Scripts find all of this in {env}.
"""


NEAR = """
As a near cache, which keeps what others have (docs/operate.md, "A proximity cache"):

  {admin} mirror {upstream} --config {configuration}   # fetches ahead all that its feed has
  {admin} report near-cache --config {configuration}   # what it saved
  {admin} collect fetched --config {configuration}     # keeps to [fetching] bytes, if that is set

Its options and other upstreams come from {options}, if that is there: [fetching], [[upstream]] and
other tables as in {example}.
"""


def welcome(
    settings: Settings, options: Options, state: State, client: Client, seconds: float, steps: list[str]
) -> str:
    """`seconds` is how long the start took, `steps` what the round trip did."""
    notes = ""
    if settings.anonymous:
        notes += "ANONYMOUS  this machine may upload without a certificate, to the download URLs too\n"
    if settings.direct:
        notes += "DIRECT     nginx serves the blobs itself\n"
    for blobs, _ in settings.upstreams:
        notes += f"UPSTREAM   what is missing is fetched from {blobs}\n"
    upstreams = options.upstreams + [f"upstream-{number}" for number, _ in enumerate(settings.upstreams, 1)]
    return TEXT.format(
        seconds=seconds,
        page=f"http://localhost:{settings.http_port}/",
        root=state.root,
        steps="".join(f"  {step}\n" for step in steps),
        c=client,
        client=state.client,
        env=state.env,
        shacache=settings.programs / "shacache",
        notes=notes,
        near=NEAR.format(
            upstream=upstreams[0],
            admin=settings.programs / "shacache-admin",
            configuration=state.configuration,
            options=state.options,
            example=REPOSITORY / "ops/shacache.toml",
        )
        if upstreams
        else "",
        file=REPOSITORY / "README.md",
    )


def write_environment(client: Client, state: State) -> None:
    """STATE/env."""
    def database(role: str) -> str:
        # Without an ampersand: a shell reads this file, too. With the port: Debian's psql would take that of the machine's
        # own cluster.
        return f"postgresql://{role}@:5432/{DATABASE}?host={quote(str(state.postgres_socket))}"

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
