"""Certificates for tests and the lab, made when they start: none is ever in the repository."""

import os
import subprocess


def make(chain, key, *names):
    """A certificate for these DNS names that signs itself, valid for a day; the key is its owner's alone."""
    old = os.umask(0o077)
    try:
        done = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "1", "-subj", f"/CN={names[0]}", "-addext",
             "subjectAltName=" + ",".join(f"DNS:{name}" for name in names), "-keyout", key, "-out", chain],
            capture_output=True, text=True, check=False)
    finally:
        os.umask(old)
    if done.returncode != 0:
        raise RuntimeError(f"openssl: {done.stderr.strip()}")
