"""Where the server listens, and what it wants there; refusals are one sentence, and no secret."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trustme

from plumb_server.__main__ import main
from plumb_server.listening import CannotListen, check_may_listen, read_token, server_credentials
from plumb_server.settings import Settings

TOKEN = "0123456789abcdef"
OUTSIDE = "0.0.0.0:50051"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("PLUMB_"):
            monkeypatch.delenv(name)


# Off loopback.


@pytest.mark.parametrize(
    ("settings", "token"),
    [
        pytest.param(Settings(tls_cert="c", tls_key="k"), TOKEN, id="token and TLS"),
        pytest.param(
            Settings(tls_cert="c", tls_key="k", tls_client_ca="a"), "", id="client certificates"
        ),
        pytest.param(Settings(insecure_listen=True), "", id="with leave"),
    ],
)
def test_off_loopback_a_server_listens_with(settings: Settings, token: str) -> None:
    check_may_listen(OUTSIDE, settings, token)


@pytest.mark.parametrize(
    ("settings", "token", "lacking"),
    [
        pytest.param(Settings(), "", "PLUMB_TOKEN, PLUMB_TLS_CERT and PLUMB_TLS_KEY", id="nothing"),
        pytest.param(Settings(), TOKEN, "PLUMB_TLS_CERT and PLUMB_TLS_KEY", id="a token alone"),
        pytest.param(Settings(tls_cert="c", tls_key="k"), "", "PLUMB_TOKEN", id="TLS alone"),
    ],
)
@pytest.mark.parametrize("listen", [OUTSIDE, "[::]:1", "192.168.0.1:1", "example.com:1"])
def test_off_loopback_a_server_does_not_listen_with(
    settings: Settings, token: str, lacking: str, listen: str
) -> None:
    with pytest.raises(CannotListen) as caught:
        check_may_listen(listen, settings, token)
    said = str(caught.value)
    assert said.startswith(f"{listen} is not on loopback")
    assert f"set {lacking}, listen on" in said
    assert "PLUMB_INSECURE_LISTEN=1" in said
    assert TOKEN not in said


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "[::1]:1", "localhost:1"])
def test_on_loopback_nothing_is_needed(listen: str) -> None:
    check_may_listen(listen, Settings(), "")


def test_where_a_token_is_required_nobody_listens_without_even_on_loopback() -> None:
    wanting = Settings(require_token=True, insecure_listen=True)
    for listen in ("127.0.0.1:1", OUTSIDE):
        with pytest.raises(CannotListen, match="set PLUMB_TOKEN, or PLUMB_TOKEN_FILE"):
            check_may_listen(listen, wanting, "")
        check_may_listen(listen, wanting, TOKEN)


# The token.


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
def test_the_token_is_read_from_its_file_without_the_end_of_its_line(
    tmp_path: Path, ending: str
) -> None:
    (tmp_path / "token").write_bytes(f"{TOKEN}{ending}".encode())
    assert read_token(Settings(token_file=str(tmp_path / "token"))) == TOKEN


def test_the_token_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMB_TOKEN", TOKEN)
    assert read_token(Settings()) == TOKEN


@pytest.mark.parametrize("token", ["0123456789abcde", "☃" * 16, "0123456789 abcdef", "a\n" * 8])
def test_what_will_not_do_as_a_token_is_refused_and_not_shown(
    token: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PLUMB_TOKEN", token)
    assert main() == 2
    said = capsys.readouterr().err
    assert said.startswith("plumb: PLUMB_TOKEN is not what it must be: a token h")
    monkeypatch.delenv("PLUMB_TOKEN")
    (tmp_path / "token").write_text(token, encoding="utf-8")
    with pytest.raises(
        CannotListen, match=r"^PLUMB_TOKEN_FILE is '.*', which holds no token"
    ) as no:
        read_token(Settings(token_file=str(tmp_path / "token")))
    for line in (said, str(no.value)):
        assert line.rstrip("\n").count("\n") == 0
        assert token not in line


def test_a_file_of_a_token_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotListen, match=r"PLUMB_TOKEN_FILE is '.*nothing'.*No such file"):
        read_token(Settings(token_file=str(tmp_path / "nothing")))


def test_two_tokens_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(CannotListen, match="both set") as caught:
        read_token(Settings(token=TOKEN, token_file=str(tmp_path / "token")))
    assert TOKEN not in str(caught.value)


def test_no_secret_shows_in_the_settings_or_their_errors() -> None:
    assert TOKEN not in repr(Settings(token=TOKEN)) + str(Settings(token=TOKEN))
    with pytest.raises(ValueError) as caught:
        Settings(token="short-secret", listen="nowhere")
    assert "short-secret" not in str(caught.value) + repr(caught.value)


# TLS.


class Files:
    """Certificates of one authority, as files."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        server = authority.issue_cert("localhost")
        self.ca = str(folder / "ca.pem")
        self.cert = str(folder / "server.pem")
        self.key = str(folder / "server.key")
        authority.cert_pem.write_to_path(self.ca)
        server.private_key_pem.write_to_path(self.key)
        for part in server.cert_chain_pems:
            part.write_to_path(self.cert, append=True)
        self.other_key = str(folder / "other.key")
        authority.issue_cert("other").private_key_pem.write_to_path(self.other_key)
        self.garbage = str(folder / "garbage.pem")
        Path(self.garbage).write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


def test_without_files_there_is_no_tls() -> None:
    assert server_credentials(Settings()) is None


def test_with_a_pair_there_is_tls_and_with_authorities_client_certificates(files: Files) -> None:
    assert server_credentials(Settings(tls_cert=files.cert, tls_key=files.key))
    settings = Settings(tls_cert=files.cert, tls_key=files.key, tls_client_ca=files.ca)
    assert server_credentials(settings)


@pytest.mark.parametrize(
    ("cert", "key", "client_ca", "says"),
    [
        ("cert", "", "", "TLS needs both"),
        ("", "key", "", "TLS needs both"),
        ("", "", "ca", "TLS needs both"),
        ("cert", "other_key", "", "are no pair"),
        ("key", "cert", "", "are no pair"),
        ("garbage", "key", "", "are no pair"),
        ("cert", "garbage", "", "are no pair"),
        ("cert", "nothing", "", "No such file"),
        ("cert", "key", "garbage", "holds no authorities"),
        ("cert", "key", "key", "holds no authorities"),
        ("cert", "key", "nothing", "No such file"),
    ],
)
def test_files_that_will_not_do_are_named_with_what_is_wrong(
    files: Files, cert: str, key: str, client_ca: str, says: str
) -> None:
    def path(name: str) -> str:
        return getattr(files, name, "/nowhere/nothing.pem") if name else ""

    settings = Settings(tls_cert=path(cert), tls_key=path(key), tls_client_ca=path(client_ca))
    with pytest.raises(CannotListen) as caught:
        server_credentials(settings)
    said = str(caught.value)
    assert says in said
    assert "PLUMB_TLS_" in said
    assert "PRIVATE KEY" not in said
