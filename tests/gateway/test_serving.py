"""How the gateway begins to serve, or says why it cannot."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

import httpx2 as httpx
import pytest
import trustme

from plumb_gateway.serving import CannotServe, ServerTls, run_gateway
from plumb_gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from pathlib import Path


async def refusal(tls: ServerTls | None = None, listen: str = "127.0.0.1:0") -> str:
    settings = GatewaySettings(listen=listen)
    with pytest.raises(CannotServe) as caught:
        async with run_gateway(settings, server="unix:/none", tls=tls):
            pass
    return str(caught.value)


async def test_a_port_that_is_taken_is_told_with_the_mend() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        said = await refusal(listen=listen)
    assert said.startswith(f"cannot serve HTTP on {listen} (")
    assert said.endswith("set PLUMB_HTTP_LISTEN to another address")


async def test_an_address_that_is_not_here_is_told() -> None:
    assert "cannot serve HTTP on 192.0.2.1:0" in await refusal(listen="192.0.2.1:0")
    assert "no.such.host.invalid" in await refusal(listen="no.such.host.invalid:0")


@pytest.mark.parametrize("content", [None, b"", b"no PEM"])
async def test_a_file_of_tls_that_is_none_is_told_before_anything_listens(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "cert.pem"
    if content is not None:
        path.write_bytes(content)
    said = await refusal(ServerTls(cert=str(path), key=str(path)))
    assert said.startswith(f"cannot serve HTTPS with {path}, {path} (")
    assert said.endswith("give PEM files, the key unencrypted")


@pytest.mark.parametrize(("listen", "host"), [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "[::1]")])
async def test_the_url_is_where_it_serves(listen: str, host: str) -> None:
    async with run_gateway(GatewaySettings(listen=listen), server="unix:/none") as url:
        assert url.startswith(f"http://{host}:")
        async with httpx.AsyncClient(timeout=60) as http:
            assert (await http.get(f"{url}/healthz")).text == "ok\n"


async def test_with_a_ca_for_clients_only_those_get_in_that_show_a_certificate(
    tmp_path: Path,
) -> None:
    authority = trustme.CA()
    ours, theirs = authority.issue_cert("127.0.0.1"), authority.issue_cert("client.example")
    for name, pem in (("ca", authority.cert_pem), ("cert", ours.cert_chain_pems[0]),
                      ("key", ours.private_key_pem)):  # fmt: skip
        pem.write_to_path(str(tmp_path / name))
    tls = ServerTls(
        cert=str(tmp_path / "cert"), key=str(tmp_path / "key"), client_ca=str(tmp_path / "ca")
    )
    context = ssl.create_default_context(cafile=tmp_path / "ca")
    settings = GatewaySettings(listen="127.0.0.1:0")
    async with run_gateway(settings, server="unix:/none", tls=tls) as url:
        assert url.startswith("https://")
        async with httpx.AsyncClient(verify=context) as stranger:
            with pytest.raises(httpx.TransportError):
                await stranger.get(f"{url}/healthz")
        theirs.configure_cert(context)
        async with httpx.AsyncClient(verify=context) as known:
            assert (await known.get(f"{url}/healthz")).text == "ok\n"
