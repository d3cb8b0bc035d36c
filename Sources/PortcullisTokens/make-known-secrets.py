#!/usr/bin/env python3
"""Writes KnownSecretsTable.swift: HMAC secrets that are public, as the first eight bytes of their SHA-256, sorted.

Reads jwt-secrets/jwt.secrets.list in $PORTCULLIS_VECTORS, else in ../shared/vectors beside the checkout. The list's lines end in
CR LF. Secrets of 31 bytes and more are kept: shorter ones are refused for their length alone, and a file that was saved with the
CR of its line makes 32 of 31. The hashes cannot be turned back, so the list itself stays where it is.

What jwt.io fills in for HS256, HS384 and HS512 since 2025 is younger than the list, and stands here.
"""

import base64
import hashlib
import os
import pathlib

here = pathlib.Path(__file__).resolve().parent
vectors = pathlib.Path(os.environ.get("PORTCULLIS_VECTORS", here / "../../../shared/vectors"))
lines = (vectors / "jwt-secrets/jwt.secrets.list").read_bytes().split(b"\n")
# Trailing spaces go too: the look-up tries a secret with and without them.
secrets = {line.rstrip(b" \t\r\n") for line in lines} | {line.rstrip(b"\r") for line in lines}
secrets |= {
    b"a-string-secret-at-least-256-bits-long",
    b"a-valid-string-secret-that-is-at-least-384-bits-long",
    b"a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
}
prefixes = sorted({hashlib.sha256(secret).digest()[:8] for secret in secrets if len(secret) >= 31})
text = base64.urlsafe_b64encode(b"".join(prefixes)).rstrip(b"=").decode()
width = 112
rows = "\\\n".join("        " + text[at : at + width] for at in range(0, len(text), width))
(here / "KnownSecretsTable.swift").write_text(
    f'''// Made by make-known-secrets.py; do not edit.
// Source: github.com/wallarm/jwt-secrets, jwt.secrets.list, Copyright (c) 2020 Wallarm, MIT licence. Only hashes of it stand here,
// and of the examples of jwt.io.

extension KnownSecrets {{
    /// How many secrets the table holds.
    static let count = {len(prefixes)}

    /// The first eight bytes of the SHA-256 of each, sorted, in base64url: one literal compiles in no time, {len(prefixes):,} do not.
    static let table: StaticString = """
{rows}
        """
}}
'''
)
