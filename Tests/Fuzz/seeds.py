"""Writes the seeds that need more than a copy: seeds.py NAME VECTORS FOLDER

frames: the seeds of tungstenite, behind the byte by which the fuzzer chooses the role. credential: the raw requests of llhttp, and
a handshake with each of the smuggler's header lines. Where the vectors are not there, nothing is written."""

import json
import pathlib
import sys

name, vectors, folder = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])


def write(kind, number, data):
    (folder / f"{kind}-{number}").write_bytes(data)


if name == "frames":
    roles = {"read_message_server": b"\x00", "read_message_client": b"\x01", "parse_frame_header": b"\x00"}
    for kind, role in roles.items():
        for number, file in enumerate(sorted(vectors.glob(f"tungstenite/seeds/{kind}/*"))):
            write(kind, number, role + file.read_bytes())
if name == "credential":
    path = vectors / "llhttp/llhttp_request_cases.json"
    if path.exists():
        for number, case in enumerate(json.loads(path.read_text())["cases"]):
            write("llhttp", number, bytes.fromhex(case["input_hex"]))
    path = vectors / "smuggler/te_gadgets.json"
    if path.exists():
        lines = ["Host: a.test", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Authorization: Bearer a.b.c", "", ""]
        rest = "\r\n".join(lines).encode()
        for number, gadget in enumerate(json.loads(path.read_text())["gadgets"]):
            line = bytes.fromhex(gadget["header_bytes_hex"])
            write("smuggler", number, b"GET /ws HTTP/1.1\r\n" + line + b"\r\n" + rest)
