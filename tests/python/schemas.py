"""Holds values to their JSON Schemas: argument FILE, a list of [what, schema, value] as JSON.

Prints what does not hold, as JSON.
"""

import json
import sys

from jsonschema import Draft202012Validator

failures = []
with open(sys.argv[1], encoding="utf-8") as file:
    for what, schema, value in json.load(file):
        Draft202012Validator.check_schema(schema)
        for error in Draft202012Validator(schema).iter_errors(value):
            failures.append(f"{what}: {error.json_path}: {error.message}")
print(json.dumps(failures))
