"""What stands about one request in the logs and in the record of uploads. A test marks it by its User-Agent."""

import json
import os

from stack import Database, eventually


def mark():
    """A header by which the request is found again."""
    return "User-Agent", os.urandom(8).hex()


def _line(name, value, files):
    """The only line that says so. It comes some time after the answer."""

    def lines():
        # Not splitlines(): a header's text may hold what Unicode takes for the end of a line.
        texts = [text for file in files for text in file.read_text().split("\n") if text]
        return [line for line in map(json.loads, texts) if line.get(name) == value]

    (line,) = eventually(lines)
    return line


def access(stack, marked):
    """nginx's line."""
    return _line("agent", marked[1], [stack.state / "log/access.log"])


def event(stack, marked):
    """The worker's line."""
    files = list((stack.state / "log").glob("worker-*.log"))
    return _line("request_id", access(stack, marked)["request_id"], files)


def rows(stack, where):
    """Of report.upload, oldest first."""
    found = Database(stack).run(
        f"SELECT row_to_json(row) FROM report.upload AS row WHERE {where} ORDER BY id", role="shacache_report")
    return [json.loads(text) for (text,) in found]


def row(stack, marked):
    """The only one of report.upload. That of a refusal comes after its answer."""
    request_id = access(stack, marked)["request_id"]
    (row,) = eventually(lambda: rows(stack, f"request_id = '{request_id}'"))
    return row
