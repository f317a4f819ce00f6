"""Reads a configuration with the deployed clients' own parser, and prints one section as JSON."""

import json
import sys
from configparser import ConfigParser

parser = ConfigParser()
with open(sys.argv[1]) as file:
    parser.read_file(file)
print(json.dumps(dict(parser.items(sys.argv[2]))))
