"""Decodes gRPC messages by their schema (--proto), with the protobuf library.

Takes a .proto file, which the protocol compiler of grpcio-tools or of the system translates, or a descriptor set as
`protoc -o` writes it. Imported only if there is a --proto.
"""

import json
from typing import Any

from hark.errors import HarkError

_INSTALL = "pip install 'hark[grpc]', or give a descriptor set made by protoc --include_imports -o FILE"


class Schema:
    """The services of some descriptor sets."""

    def __init__(self, paths: list[str]) -> None:
        try:
            from google.protobuf import descriptor_pb2, descriptor_pool
        except ImportError:
            raise HarkError("cannot use --proto", "the protobuf library is not installed", _INSTALL) from None
        self._pool = descriptor_pool.DescriptorPool()
        for path in paths:
            descriptors = descriptor_pb2.FileDescriptorSet()
            try:
                descriptors.ParseFromString(_descriptors(path))
                for file in descriptors.file:
                    self._pool.Add(file)
            except HarkError:
                raise
            except OSError as error:
                raise HarkError(f"cannot read {path}", error.strerror or "") from error
            except Exception as error:  # the library raises errors of several unrelated kinds for a bad file
                raise HarkError(f"cannot use {path}", f"it is not a descriptor set: {error}", _INSTALL) from error

    def message(self, path: str, response: bool, data: bytes) -> dict[str, Any] | None:
        """A message of a call of `path` ("/package.Service/Method"); None if the schema does not have the method or
        does not fit."""
        from google.protobuf import json_format, message_factory
        from google.protobuf.message import DecodeError

        service, _, name = path.lstrip("/").partition("/")
        try:
            method = self._pool.FindServiceByName(service).methods_by_name[name]
            kind = message_factory.GetMessageClass(method.output_type if response else method.input_type)
            value = kind.FromString(data)
            fields: dict[str, Any] = json.loads(json_format.MessageToJson(value, preserving_proto_field_name=True))
            return fields
        except (KeyError, DecodeError, ValueError):
            return None


def _descriptors(path: str) -> bytes:
    if not path.endswith(".proto"):
        with open(path, "rb") as file:
            return file.read()
    with open(path, "rb"):
        pass  # a missing file is reported before a missing compiler
    import os
    import shutil
    import subprocess
    import sys
    import tempfile
    from importlib.util import find_spec

    if find_spec("grpc_tools") is not None:
        compiler = [sys.executable, "-m", "grpc_tools.protoc"]
    elif shutil.which("protoc"):
        compiler = ["protoc"]
    else:
        raise HarkError(f"cannot use {path}", "no protocol compiler is installed", _INSTALL)
    with tempfile.TemporaryDirectory() as place:
        output = os.path.join(place, "set")
        folder = os.path.dirname(os.path.abspath(path))
        words = [*compiler, f"-I{folder}", "--include_imports", f"--descriptor_set_out={output}", os.path.abspath(path)]
        run = subprocess.run(words, capture_output=True, text=True)
        if run.returncode:
            raise HarkError(f"cannot use {path}", (run.stderr.strip().splitlines() or ["the compiler failed"])[0])
        with open(output, "rb") as file:
            return file.read()
