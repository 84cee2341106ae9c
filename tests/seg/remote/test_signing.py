"""Signed requests, held against AWS's published rules of Signature Version 4, and what is said without a key."""

import hashlib
import hmac
import json
import time

import pytest
from seg.remote.npz_service import NpzAdapter, Service

from zoo_opt.core.errors import NotServed
from zoo_opt.support import secrets
from zoo_opt_seg.remote.exchange import Request
from zoo_opt_seg.remote.mapping.factories import preset_mapping, with_credentials
from zoo_opt_seg.remote.mapping.service import MappedService
from zoo_opt_seg.remote.signing import signer
from zoo_opt_seg.remote.terms import Terms
from zoo_opt_seg.remote.transport import Transport

pytest.importorskip("botocore")
KEY, SECRET, SESSION = "AKID0THE0TESTS", "s3cret-of-the-tests", "t0ken-of-a-session"
BODY = b'{"image": "..."}'
CLEARED = ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN")


@pytest.fixture(autouse=True)
def aws(monkeypatch, tmp_path):
    for name in CLEARED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    return monkeypatch


def is_signed(method, path, headers, body, region="eu-west-1", service="sagemaker"):
    """Whether the signature is by AWS's rules: a canonical request, the text to sign, a key from the secret."""
    said = headers["Authorization"].removeprefix("AWS4-HMAC-SHA256 ")
    parts = dict(part.split("=", 1) for part in said.split(", "))
    day = headers["X-Amz-Date"][:8]
    scope = f"{day}/{region}/{service}/aws4_request"
    lower = {name.lower(): value for name, value in headers.items()}
    names = parts["SignedHeaders"].split(";")
    assert {"host", "x-amz-date", "content-type"} <= set(names)
    lines = "".join(f"{name}:{lower[name]}\n" for name in names)
    canonical = "\n".join([method, path, "", lines, parts["SignedHeaders"], hashlib.sha256(body).hexdigest()])
    text = "\n".join(["AWS4-HMAC-SHA256", headers["X-Amz-Date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + SECRET).encode()
    for word in (day, region, service, "aws4_request"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return parts["Credential"] == f"{KEY}/{scope}" and hmac.compare_digest(signature, parts["Signature"])


def ask(service, other=None):
    adapter = NpzAdapter(service.url)
    adapter.sign = "aws:sagemaker"
    transport = Transport(adapter, Terms(headers={"X-Mine": "yes"}))
    headers = {"Content-Type": "application/json"}
    try:
        for url in (f"{service.url}/endpoints/sam/invocations", *([other.url] if other else [])):
            transport.send(Request(url, BODY, headers, paid=False), time.monotonic() + 20)
    finally:
        transport.close()


def answered(number, handler):
    handler.answer(200, b"")
    return True


def test_a_request_is_signed_as_aws_has_it(aws):
    aws.setenv("AWS_SESSION_TOKEN", SESSION)
    with Service(upset=answered) as own, Service(upset=answered) as other:
        ask(own, other)
        ((method, path, headers, body),) = own.asked
        assert body == BODY and headers["X-Amz-Security-Token"] == SESSION and headers["X-Mine"] == "yes"
        assert is_signed(method, path, headers, body)
        assert not is_signed(method, path, headers, body + b" ") and not is_signed(method, "/else", headers, body)
        assert not {"Authorization", "X-Amz-Security-Token"} & set(other.asked[0][2])  # another host gets none
    assert SECRET not in secrets.hidden(f"said {SECRET}") and SESSION not in secrets.hidden(f"said {SESSION}")


def test_credentials_that_change_are_used(aws, tmp_path):
    """They are asked for at each request: those of a role expire after an hour."""
    with Service(upset=answered) as own:
        ask(own)
        first = own.asked[0][2]["Authorization"]
        aws.setenv("AWS_ACCESS_KEY_ID", "AKID0ANOTHER")
        ask(own)
        assert KEY in first and "AKID0ANOTHER" in own.asked[1][2]["Authorization"]


REGIONS = {
    "https://runtime.sagemaker.us-east-2.amazonaws.com/endpoints/sam/invocations": "us-east-2",
    "https://runtime.sagemaker.us-gov-west-1.amazonaws.com/x": "us-gov-west-1",
    "https://runtime.sagemaker.cn-north-1.amazonaws.com.cn/x": "cn-north-1",
    "https://vpce-0a1.runtime.sagemaker.us-east-2.vpce.amazonaws.com/x": "us-east-2",
    "https://runtime.sagemaker.us-east-2.api.aws/x": "us-east-2",
    "https://sam.example.org/x": "eu-west-1",
}


@pytest.mark.parametrize("url", REGIONS)
def test_the_address_names_the_region(url):
    headers = signer("aws:sagemaker", url)("POST", url, BODY, {"Host": "h", "Content-Type": "application/json"})
    assert f"/{REGIONS[url]}/sagemaker/aws4_request" in headers["Authorization"] and "Host" not in headers


@pytest.mark.parametrize(
    ("how", "url", "without", "words"),
    [
        ("gcp:vertex", "https://h/", (), "sign must be aws:SERVICE, got 'gcp:vertex'"),
        ("aws:sagemaker", "http://far.example.org/", (), "would go by http, where others can read them"),
        ("aws:sagemaker", "https://h/", ("AWS_REGION",), "the region must be set, as AWS_REGION"),
        (
            "aws:sagemaker",
            "https://h/",
            ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
            "AWS's credentials must be set",
        ),
    ],
)
def test_what_is_missing_is_said_before_anything_is_sent(aws, how, url, without, words):
    for name in without:
        aws.delenv(name)
    with pytest.raises(ValueError, match=words):
        signer(how, url)


@pytest.mark.parametrize(
    ("config", "profile", "words"),
    [
        ("", "missing", r"AWS's credentials cannot be read: The config profile \(missing\) could not be found"),
        ("[default]\ncredential_process = /bin/false\n", "default", "AWS's credentials cannot be read: Error when"),
    ],
)
def test_credentials_that_cannot_be_read_are_said_in_one_sentence(aws, tmp_path, config, profile, words):
    (tmp_path / "config").write_text(config)
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    aws.setenv("AWS_PROFILE", profile)
    with pytest.raises(ValueError, match=words):
        signer("aws:sagemaker", "https://h/")


def test_credentials_that_are_over_are_an_outage_in_which_nothing_is_sent(aws, tmp_path):
    """They may be renewed by a login while the run waits; a failure of the image would count as paid."""
    told = {"Version": 1, "AccessKeyId": KEY, "SecretAccessKey": SECRET, "Expiration": "2020-01-01T00:00:00Z"}
    (tmp_path / "told.json").write_text(json.dumps(told))
    (tmp_path / "config").write_text(f"[default]\ncredential_process = cat {tmp_path / 'told.json'}\n")
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    with Service(upset=answered) as own:
        with pytest.raises(NotServed, match=r"AWS's credentials cannot be renewed: .* still expired"):
            ask(own)
        assert not own.asked
        told["Expiration"] = "2999-01-01T00:00:00Z"
        (tmp_path / "told.json").write_text(json.dumps(told))
        ask(own)
        assert len(own.asked) == 1


def test_the_preset_signs_unless_told_not_to(caplog):
    url = "https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/sam/invocations"
    assert MappedService(preset_mapping("sagemaker", {"url": url})).sign == "aws:sagemaker"
    with_credentials(preset_mapping("sagemaker", {"url": url}), Terms())
    assert "requests to runtime.sagemaker.eu-west-1.amazonaws.com are signed by aws:sagemaker" in caplog.text
    assert MappedService(preset_mapping("sagemaker", {"url": url, "sign": "none"})).sign == ""
    with pytest.raises(ValueError, match="'sign' must be aws:SERVICE, or none, got 'yes'"):
        preset_mapping("sagemaker", {"url": url, "sign": "yes"})


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
def test_a_header_where_the_signature_would_be_is_an_error(name):
    adapter = NpzAdapter("http://127.0.0.1:9")
    adapter.sign = "aws:sagemaker"
    with pytest.raises(ValueError, match="no Authorization where requests are signed by aws:sagemaker"):
        Transport(adapter, Terms(headers={name: "Bearer of-the-user"}))


def test_what_has_rules_of_its_own_is_not_signed():
    with pytest.raises(ValueError, match="another service than s3, whose rules differ: give a presigned address"):
        signer("aws:s3", "https://bucket.s3.eu-west-1.amazonaws.com/")
