# SPDX-License-Identifier: MIT
"""Certificate authorities, certificates and keys for the tests, made with the openssl command."""

import subprocess
from pathlib import Path


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"openssl {arguments}: {done.stdout}"


class Certificate:
    """A certificate with its key: PEM files."""

    def __init__(self, stem):
        self.cert = Path(f"{stem}.pem")
        self.key = Path(f"{stem}.key")


class Authority(Certificate):
    """A CA of one's own, and what it signs."""

    def __init__(self, folder, name):
        self.folder = Path(folder)
        super().__init__(self.folder / name)
        openssl("req", "-x509", "-newkey", "rsa:2048", "-noenc", "-sha256", "-days", "30", "-subj", f"/CN={name}",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                "-keyout", self.key, "-out", self.cert)
        # What "openssl ca" wants to have: unlike "openssl x509" it takes dates.
        Path(f"{self.folder / name}.index").touch()
        self.config = Path(f"{self.folder / name}.cnf")
        self.config.write_text(f"""\
[ca]
default_ca = this
[this]
database = {self.folder / name}.index
new_certs_dir = {self.folder}
certificate = {self.cert}
private_key = {self.key}
default_md = sha256
rand_serial = yes
policy = any
unique_subject = no
[any]
commonName = supplied
""", encoding="ascii")

    def sign(self, name, names=(), usage="serverAuth", begin="20200101000000Z", end="20491231235959Z"):
        """A certificate for these names ("DNS:...", "IP:..."), or with a common name alone."""
        c = Certificate(self.folder / name)
        request, extensions = Path(f"{self.folder / name}.csr"), Path(f"{self.folder / name}.ext")
        extensions.write_text("basicConstraints=CA:FALSE\n" + f"extendedKeyUsage={usage}\n" + (
            f"subjectAltName={','.join(names)}\n" if names else ""), encoding="ascii")
        openssl("req", "-new", "-newkey", "rsa:2048", "-noenc", "-sha256", "-subj", f"/CN={name}", "-keyout", c.key,
                "-out", request)
        openssl("ca", "-batch", "-notext", "-config", self.config, "-in", request, "-out", c.cert,
                "-extfile", extensions, "-startdate", begin, "-enddate", end)
        return c


def encrypt(certificate, passphrase):
    """Its key, encrypted: the path of another file."""
    path = certificate.key.with_suffix(".encrypted")
    openssl("pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", certificate.key, "-out", path, "-passout", f"pass:{passphrase}")
    return path
