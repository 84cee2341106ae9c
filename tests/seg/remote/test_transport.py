"""One attempt at one request: every status, every way not to answer, and where the credentials go."""

import gzip
import logging
import os
import shutil
import ssl
import subprocess
import time
import traceback
from email.utils import formatdate

import numpy as np
import pytest
from seg.remote.npz_service import NpzAdapter, Service, bright, packed

from zoo_opt.core.errors import NotServed, Refused
from zoo_opt.support import secrets
from zoo_opt_seg.blackbox.protocol import BlackBoxError, Unanswerable
from zoo_opt_seg.remote.exchange import Request
from zoo_opt_seg.remote.terms import Terms
from zoo_opt_seg.remote.transport import Lost, NotSent, Transport, origin

TOKEN = "t0ken-0f-the-service"


def sent(service, request=None, adapter=None, seconds=20.0, **terms):
    """What one paid request leads to, judged."""
    transport = Transport(adapter or NpzAdapter(service.url), Terms(**terms))
    request = request or Request(f"{service.url}/ask", b"x")
    try:
        reply = transport.send(request, time.monotonic() + seconds)
        transport.judge(request, reply)
        return reply
    finally:
        transport.close()


def answering(status, content=b"", **headers):
    def upset(number, handler):
        handler.answer(status, content, **headers)
        return True

    return upset


HEALING = dict.fromkeys((408, 425, 429, 502, 503, 504), NotServed)
REFUSING = dict.fromkeys((401, 402, 403, 404, 405, 410), Refused)
FAILING = {**dict.fromkeys((400, 413, 415, 422), Unanswerable), **dict.fromkeys((409, 424, 500, 501), BlackBoxError)}


@pytest.mark.parametrize(("status", "kind"), {**HEALING, **REFUSING, **FAILING}.items())
def test_every_status_has_its_kind(status, kind):
    with Service(upset=answering(status, b"so it says")) as service:
        with pytest.raises(kind, match=rf"^the service npz:test answered {status}: so it says$") as raised:
            sent(service)
        assert type(raised.value) is kind
        assert len(service.asked) == 1


def test_an_adapter_may_name_statuses_of_its_own():
    with Service(upset=answering(424)) as service:
        adapter = NpzAdapter(service.url)
        adapter.retry = frozenset({424})
        with pytest.raises(NotServed):
            sent(service, adapter=adapter)
        adapter.retry, adapter.refuse = frozenset(), frozenset({424})
        with pytest.raises(Refused):
            sent(service, adapter=adapter)
    with Service(upset=answering(429)) as service:
        adapter = NpzAdapter(service.url)
        adapter.refuse = frozenset({429})
        with pytest.raises(Refused):
            sent(service, adapter=adapter)


@pytest.mark.parametrize(("said", "low", "high"), [("7", 7, 7), ("a date", 3400, 3600), ("soon", None, 0)])
def test_both_forms_of_retry_after(said, low, high):
    said = formatdate(time.time() + 3600, usegmt=True) if said == "a date" else said
    with Service(upset=answering(429, Retry_After=said)) as service, pytest.raises(NotServed) as raised:
        sent(service)
    after = raised.value.retry_after
    assert after is None if low is None else low <= after <= high


def test_a_complaint_is_hidden_and_short(monkeypatch):
    monkeypatch.setenv("SERVICE_TOKEN", TOKEN)
    upset = answering(403, f"no,\n {TOKEN} is bad ".encode() + b"x" * 9999)
    with Service(upset=upset) as service, pytest.raises(Refused) as raised:
        sent(service)
    assert TOKEN not in str(raised.value) and "no, *** is bad" in str(raised.value) and len(str(raised.value)) < 400


def test_a_complaint_that_fails_is_none():
    class Adapter(NpzAdapter):
        def complaint(self, reply):
            raise KeyError(reply)

    with Service(upset=answering(400)) as service, pytest.raises(Unanswerable, match=r"answered 400$"):
        sent(service, adapter=Adapter(service.url))


# ---------------------------------------------------------------------------------------------- no answer at all


def test_nobody_listens():
    with Service() as service:
        pass
    with pytest.raises(NotSent, match="did not answer: ConnectError"):
        sent(service)
    with pytest.raises(NotSent):
        sent(service, Request("http://no-such-host.invalid/ask"), NpzAdapter("http://no-such-host.invalid"))


@pytest.mark.parametrize("when", ["before", "after", "in the middle"])
def test_a_connection_that_is_dropped_is_lost(when):
    def upset(number, handler):
        if when == "in the middle":
            handler.send_response(200)
            handler.send_header("Content-Length", "100")
            handler.end_headers()
            handler.wfile.write(b"x" * 50)
            handler.wfile.flush()
        if when == "after":
            handler.server.served += 1
        handler.drop()
        return True

    with Service(upset=upset) as service, pytest.raises(Lost, match="did not answer"):
        sent(service)
    assert len(service.asked) == 1  # no retry that we do not know of


def slowly(what, seconds=0.1):
    """A server that sends a byte now and then, for ever."""

    def upset(number, handler):
        if what == "body":
            handler.send_response(200)
            handler.send_header("Content-Length", "100000")
            handler.end_headers()
        else:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        try:
            while not handler.server.over:
                handler.wfile.write(b"x")
                handler.wfile.flush()
                time.sleep(seconds)
        except OSError:
            handler.close_connection = True
        return True

    return upset


@pytest.mark.parametrize("what", ["body", "headers"])
def test_a_slow_answer_ends_with_the_time_of_the_question(what):
    with Service(upset=slowly(what)) as service:
        service.over, began = False, time.monotonic()
        with pytest.raises(Lost, match="Timeout"):
            sent(service, seconds=0.5, read=5.0)
        assert time.monotonic() - began < 3.0
        service.over = True


def test_a_silent_server_ends_with_the_reading_time():
    with Service(upset=lambda number, handler: time.sleep(1.0)) as service:
        began = time.monotonic()
        with pytest.raises(Lost, match="ReadTimeout"):
            sent(service, read=0.2)
        assert time.monotonic() - began < 0.9


# ------------------------------------------------------------------------------------------------ large answers


def test_an_answer_is_bounded_while_it_comes():
    def upset(number, handler):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
                handler.server.written += 1 << 16
        except OSError:
            handler.close_connection = True
        return True

    with Service(upset=upset) as service:
        service.written = 0
        with pytest.raises(Unanswerable, match="more than 1,000,000 bytes"):
            sent(service, most_bytes=1_000_000)
        assert service.written < 30 << 20  # what sockets hold


def test_a_gzip_bomb_takes_no_memory():
    import tracemalloc

    bomb = gzip.compress(bytes(1 << 28), 9)
    with Service(upset=answering(200, bomb, Content_Encoding="gzip")) as service:
        tracemalloc.start()
        with pytest.raises(Unanswerable, match="more than 1,000,000 bytes"):
            sent(service, most_bytes=1_000_000)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < 8_000_000


def test_a_compressed_answer_is_unpacked():
    content = packed(mask=bright(np.ones((1, 8, 8, 3), np.float32), type("P", (), {"points": np.ones((1, 1, 2))})))
    with Service(upset=answering(200, gzip.compress(content), Content_Encoding="gzip")) as service:
        assert sent(service).content == content
        assert service.asked[0][2]["Accept-Encoding"] == "gzip"


WRONG = {
    "br": (b"xx", "encoding 'br'"),
    "gzip": (b"no gzip", "damaged gzip"),
    "GZIP ": (gzip.compress(b"x" * 999)[:-9], "cut off"),
    "x-gzip": (gzip.compress(b"x") + gzip.compress(b"y"), "more than one"),
}


@pytest.mark.parametrize("encoding", WRONG)
def test_a_damaged_or_unknown_encoding(encoding):
    content, match = WRONG[encoding]
    upset = answering(200, content, Content_Encoding=encoding)
    with Service(upset=upset) as service, pytest.raises(Unanswerable, match=match):
        sent(service)


# ------------------------------------------------------------------------------------- credentials and redirects


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setattr(secrets, "_known", set())
    monkeypatch.setenv("SERVICE_TOKEN", TOKEN)
    return {"Authorization": "Bearer $SERVICE_TOKEN", "X-Plain": "yes"}


def got(service):
    return [(path, headers.get("Authorization")) for _, path, headers, _ in service.asked]


def test_credentials_go_to_their_own_host_only(key):
    with Service(upset=answering(200)) as own, Service(upset=answering(200)) as other:
        adapter = NpzAdapter(own.url)
        sent(own, adapter=adapter, headers=key)
        sent(own, Request(f"{other.url}/result", method="GET", paid=False), adapter, headers=key)
        assert got(own) == [("/ask", f"Bearer {TOKEN}")]
        assert got(other) == [("/result", None)]
        assert own.asked[0][2]["X-Plain"] == "yes" and "X-Plain" not in other.asked[0][2]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_what_is_paid_follows_no_redirect(status, key):
    with Service(upset=answering(200)) as other:
        upset, place = answering(status, Location=f"{other.url}/steal?token=x"), other.server_address[1]
        words = f"a redirect to 127.0.0.1:{place}, which is not"
        with Service(upset=upset) as own, pytest.raises(Refused, match=words):
            sent(own, headers=key)
        assert other.asked == []


def test_a_fetch_follows_redirects_without_credentials(key):
    with Service(upset=answering(200, b"found")) as other:
        with Service(upset=answering(302, Location=f"{other.url}/elsewhere")) as own:
            request = Request(f"{own.url}/result", method="GET", paid=False)
            assert sent(own, request, NpzAdapter(own.url), headers=key).content == b"found"
            assert got(own) == [("/result", f"Bearer {TOKEN}")]
        assert got(other) == [("/elsewhere", None)]


def test_a_fetch_that_is_redirected_for_ever_ends():
    with Service(upset=answering(302, Location="/again")) as own:
        with pytest.raises(BlackBoxError, match="redirects more than 5 times"):
            sent(own, Request(f"{own.url}/result", method="GET", paid=False))
        assert len(own.asked) == 6


NOWHERE = ["ftp://h/x", "http://[::1", "http://h:99999999/", "http://u:p@h/", "http://a b/", "javascript:1"]


@pytest.mark.parametrize("paid", [True, False], ids=["paid", "fetched"])
@pytest.mark.parametrize("target", [*NOWHERE, "http://\xff\xfe..\xe9/"])
def test_a_redirect_to_what_is_no_address(target, paid):
    with Service(upset=answering(302, Location=target)) as own:
        with pytest.raises(Refused, match="redirects to what is no address of http or https"):
            sent(own, Request(own.url, method="GET", paid=paid))
        assert len(own.asked) == 1


def test_a_fetch_is_redirected_only_to_where_the_adapter_may_fetch():
    with Service(upset=answering(200)) as other, Service(upset=answering(302, Location=f"{other.url}/x")) as own:
        adapter = NpzAdapter(own.url)
        adapter.may_fetch = lambda url: not url.startswith(other.url)
        with pytest.raises(Refused, match=r"redirects to 127\.0\.0\.1:\d+, from which nothing is fetched"):
            sent(own, Request(own.url, method="GET", paid=False), adapter)
        assert other.asked == []


def test_a_host_that_speaks_no_tls_is_not_asked_again():
    with Service(upset=answering(200)) as own:
        url = own.url.replace("http:", "https:")
        with pytest.raises(Refused, match="does not speak TLS there: an address without it begins with http://"):
            sent(own, Request(f"{url}/ask"), NpzAdapter(url))


def test_a_cookie_is_not_sent_back():
    with Service(upset=answering(200, Set_Cookie="a=b")) as own:
        transport = Transport(NpzAdapter(own.url), Terms())
        for _ in range(2):
            transport.send(Request(own.url), time.monotonic() + 9)
        transport.close()
        assert "Cookie" not in own.asked[1][2]


def test_a_key_is_shown_nowhere(key, caplog):
    caplog.set_level(logging.DEBUG)
    terms = Terms(headers={**key, "X-Api-Key": "lit3ral-of-a-key", "X-Of-Any-Name": "an0ther-literal"})
    texts = [repr(terms)]
    with Service(upset=answering(500, f"{TOKEN} an0ther-literal".encode())) as own:
        transport = Transport(NpzAdapter(own.url), terms)
        texts.append(repr(transport))
        try:
            request = Request(f"{own.url}/ask")
            transport.judge(request, transport.send(request, time.monotonic() + 9))
        except BlackBoxError as error:
            texts += [str(error), "".join(traceback.format_exception(error))]
        transport.close()
    texts.append(caplog.text)
    assert len(texts) == 5
    assert not [text for text in texts for key in (TOKEN, "lit3ral-of-a-key", "an0ther-literal") if key in text]


def test_a_key_from_a_file(tmp_path):
    (tmp_path / "key").write_text(f"Bearer {TOKEN}\n")
    with Service(upset=answering(200)) as own:
        sent(own, headers={"Authorization": f"@{tmp_path / 'key'}"})
        assert got(own) == [("/ask", f"Bearer {TOKEN}")]
    assert TOKEN not in secrets.hidden(f"said: Bearer {TOKEN}")


def test_a_key_that_expires_is_read_anew(tmp_path):
    """Its file is read for each request; while it is gone or empty, as when it is written, the value before counts."""
    key = tmp_path / "key"
    key.write_text(f"Bearer {TOKEN}\n")
    with Service(upset=answering(200)) as own:
        transport = Transport(NpzAdapter(own.url), Terms(headers={"Authorization": f"@{key}"}))
        for content in (None, "", "Bearer the-next-t0ken"):
            key.unlink() if content is None else key.write_text(content)
            transport.send(Request(f"{own.url}/ask", b"x"), time.monotonic() + 20)
        transport.close()
        assert [said for _, said in got(own)] == [f"Bearer {TOKEN}", f"Bearer {TOKEN}", "Bearer the-next-t0ken"]
    assert "the-next-t0ken" not in secrets.hidden("the-next-t0ken is unknown")  # as a service may say


WRONG_HEADERS = {
    "$NO_SUCH_VARIABLE_9": "NO_SUCH_VARIABLE_9 must be set",
    "Bearer $NO_SUCH_VARIABLE_9": "NO_SUCH_VARIABLE_9 must be set",
    "@no/such/file": "cannot be read from a file",
    f"@{os.devnull}": "must stand in its file, which is empty",
    "two\nlines": "ASCII in one line",
    "ké": "ASCII in one line",
}


@pytest.mark.parametrize("value", WRONG_HEADERS)
def test_wrong_headers(value):
    with pytest.raises(ValueError, match=WRONG_HEADERS[value]):
        Transport(NpzAdapter("http://127.0.0.1:9"), Terms(headers={"Authorization": value}))


@pytest.mark.parametrize(
    "url",
    ["", "ftp://host/x", "host/x", "http://", "http://me:w0rd@host", "http://host:99999", "http://a b", "http://a\n"],
)
def test_wrong_addresses(url):
    with pytest.raises(ValueError, match="an address must"):
        origin(url)
    with pytest.raises(ValueError, match="an address must") as raised:
        Transport(NpzAdapter(url), Terms())
    assert "w0rd" not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"workers": 0}, "workers must be >= 1"),
        ({"rate": 0.0}, "rate must be > 0"),
        ({"total": float("nan")}, "total must be finite"),
        ({"most_calls": -1}, "most_calls must be >= 0"),
        ({"most_money": -0.5}, "most_money must be >= 0"),
        ({"price": "2"}, "price must be a real number"),
        ({"headers": {"a b": "x"}}, "headers must be texts by names"),
        ({"headers": {"a": 1}}, "headers must be texts by names"),
    ],
)
def test_wrong_terms(settings, match):
    with pytest.raises((ValueError, TypeError), match=match):
        Terms(**settings)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of 127.0.0.1 that nobody has signed, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the program openssl")
    folder = tmp_path_factory.mktemp("tls")
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    command = ["openssl", *words.split(), "-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "certificate.pem", folder / "key.pem"


def test_a_host_is_verified(certificate, key):
    file, private = certificate
    with Service(upset=answering(200, b"found")) as service:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file, private)
        service.socket = context.wrap_socket(service.socket, server_side=True)
        service.url = service.url.replace("http:", "https:")
        with pytest.raises(Refused, match="cannot be verified"):
            sent(service, headers=key)
        assert service.asked == []
        assert sent(service, headers=key, ca=file).content == b"found"
        assert got(service) == [("/ask", f"Bearer {TOKEN}")]
        adapter = NpzAdapter(service.url.replace("127.0.0.1", "localhost"))  # another name than the certificate's
        with pytest.raises(Refused, match="cannot be verified"):
            sent(service, Request(f"{adapter.url}/ask"), adapter, ca=file)


def test_a_proxy_of_the_environment_is_asked(monkeypatch):
    with Service(upset=answering(200, b"by the proxy")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//me:w0rd-of-mine@"))
        monkeypatch.delenv("no_proxy", raising=False)
        adapter = NpzAdapter("http://service.invalid")
        assert sent(proxy, Request("http://service.invalid/ask"), adapter).content == b"by the proxy"
        ((_, path, headers, _),) = proxy.asked
        assert path == "http://service.invalid/ask" and headers["Proxy-Authorization"].startswith("Basic ")
        monkeypatch.setenv("no_proxy", "service.invalid")
        with pytest.raises(NotSent):
            sent(proxy, Request("http://service.invalid/ask"), adapter)
