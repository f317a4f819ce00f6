"""What /metrics says, read back."""

import re

_SAMPLE = re.compile(r'(?P<name>[a-z_]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Exposition:
    """The samples of one scrape."""

    def __init__(self, text):
        self.text = text
        self._samples = {}
        for line in text.splitlines():
            if not line.startswith("#"):
                sample = _SAMPLE.fullmatch(line)
                labels = frozenset(_LABEL.findall(sample["labels"] or ""))
                assert (sample["name"], labels) not in self._samples, f"twice: {line}"
                self._samples[sample["name"], labels] = float(sample["value"])

    @property
    def families(self):
        return re.findall(r"^# TYPE (\S+)", self.text, re.MULTILINE)

    def of(self, name, **labels):
        """The values of all samples with this name and these labels, by the labels that they have beside."""
        wanted = set(labels.items())
        return {
            tuple(sorted(have - wanted)): value for (each, have), value in self._samples.items()
            if each == name and wanted <= have}

    def sum(self, name, **labels):
        """Over all that differ in other labels; 0 when there is none."""
        return sum(self.of(name, **labels).values())

    def value(self, name, **labels):
        """Of the only one."""
        (value,) = self.of(name, **labels).values()
        return value

    def by(self, name, *labels):
        """Sums by the values of these labels, without those that are 0."""
        sums = {}
        for (each, have), value in self._samples.items():
            if each == name and value:
                key = tuple(dict(have)[label] for label in labels)
                sums[key] = sums.get(key, 0) + value
        return sums

    def since(self, before, name, *labels):
        """By how much these sums have grown, where they have."""
        old, new = before.by(name, *labels), self.by(name, *labels)
        return {key: new[key] - old.get(key, 0) for key in new if new[key] != old.get(key, 0)}


def scrape(stack, **options):
    status, headers, body = stack.request("GET", "/metrics", **options)
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8"), (status, body)
    assert headers["Cache-Control"] == "no-store"
    return Exposition(body.decode())
