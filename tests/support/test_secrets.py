"""What is hidden of texts and commands, and what is left as it is."""

import pytest
from refusals import raises

from zoo_opt.support import secrets
from zoo_opt.support.secrets import hidden, hidden_command, hidden_in, hidden_words, literal_secret, resolved


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(secrets, "_known", set())
    for name in ("API_KEY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)


TEXTS = {
    "https://me:word@host/x": "https://***@host/x",
    "https://ghtoken@host": "https://***@host",
    "url: /v1?api_key=a1b2c3&size=3": "url: /v1?api_key=***&size=3",
    "url: /v1?key=a1b2c3": "url: /v1?key=***",
    "Authorization: Bearer a1b2c3 d\nnext": "Authorization: ***\nnext",
    "{'Authorization': 'Bearer a1b2'}": "{'Authorization': '***'}",
    '{"x-api-key": "a1b2", "n": 1}': '{"x-api-key": "***", "n": 1}',
    "X-Api-Key: a1b2": "X-Api-Key: ***",
    "OPENAI_KEY=a1b2 and more": "OPENAI_KEY=*** and more",
    'password = "a \\"b"': 'password = "***"',
    "connect(token='a1b2', n=3)": "connect(token='***', n=3)",
    "it said sk-abcdefghijklmnop1234": "it said ***",
    "Bearer abcdefgh.123": "Bearer ***",
    "api_key: a1b2": "api_key: ***",
    "Command '['cmd', '--api-key', 'abc', '-x']' failed": "Command '['cmd', '--api-key', '***', '-x']' failed",
    "cmd --key a1b2 --seed 3": "cmd --key *** --seed 3",
}
LEFT = (
    *("tiny", "key = 'a1b2'", '{"key": "0123456789abcdef", "tokens": 77}', "KeyError: token", "Unexpected token: foo"),
    *(
        "token == x",
        "token=None",
        "password: it must be longer",
        "sort_key=abc",
        "monkey=1",
        "author=me",
        "dask://h:87",
    ),
    *("token=$TOKEN", "Authorization: Bearer $TOKEN", "https://$ME:${WORD}@host", "git@host:x", "a=b@c", "lr=0.01"),
    *("['--key', '--seed', '3']", "['--key', '$KEY1']", "pass_step=True", "max_tokens: 3"),
    *("CMAES(sigma0=0.1)", "sam:vit_b:file.pth", "HD95=3"),
)


@pytest.mark.parametrize(("text", "expected"), TEXTS.items())
def test_texts_are_hidden_once(text, expected):
    assert hidden(text) == expected and hidden(expected) == expected
    assert hidden_in({"a": [{"b": text}], "n": 1}) == {"a": [{"b": expected}], "n": 1}
    assert literal_secret(f"a\n{text}") in {line.strip() for line in expected.splitlines()}


@pytest.mark.parametrize("text", LEFT)
def test_what_is_no_secret_is_left(text):
    assert hidden(text) == text and not literal_secret(text) and hidden_command(text) == text


COMMANDS = [
    ("env API_KEY=one-two cmd x=1", "env 'API_KEY=***' cmd x=1"),
    ("process:env foo=one two=3 cmd", "process:env 'foo=***' 'two=***' cmd"),
    ("process:env -i -u HOME foo=one cmd", "process:env -i -u HOME 'foo=***' cmd"),
    ("sh -c 'API_KEY=one-two cmd'", """sh -c ''"'"'API_KEY=***'"'"' cmd'"""),
    ("docker run -e LEVEL=one-two image", "docker run -e 'LEVEL=***' image"),
    ("cmd --token one-two --api-key=three", "cmd --token '***' '--api-key=***'"),
    ("curl -H 'X-Any: one-two' -u me:word https://a:b@host", "curl -H 'X-Any: ***' -u '***' 'https://***@host'"),
    ("curl -HX-Any:one-two -ume:word --user=me:word h", "curl '-HX-Any: ***' '-u***' '--user=***' h"),
    ("cmd --header='X-Any: one-two' --pass one-two", "cmd '--header=X-Any: ***' --pass '***'"),
    ("cmd --key one-two --key=one-two", "cmd --key '***' '--key=***'"),
    ("""cmd '{"api_key": "one two"}'""", """cmd '{"api_key": "***"}'"""),
    ("python -u serve.py -o lr=0.1 -p C=1", "python -u serve.py -o lr=0.1 -p C=1"),
    ("env 'API_KEY=one two' cmd", "env 'API_KEY=***' cmd"),
    ("env API_KEY=$API_KEY T=${T} cmd", "env API_KEY=$API_KEY T=${T} cmd"),
]


@pytest.mark.parametrize(("command", "expected"), COMMANDS)
def test_commands_keep_no_value_of_a_variable(command, expected):
    assert hidden_command(command) == expected and hidden_command(expected) == expected


def test_what_a_command_was_given_is_hidden_wherever_it_turns_up():
    assert hidden("refused: one-two") == "refused: one-two"
    words = ["zoo-opt-seg", "adapt", "--model", "process:env LEVEL=one-two cmd", "-o", "lr=0.01"]
    assert hidden_words(words) == [*words[:3], "process:env 'LEVEL=***' cmd", *words[4:]]
    assert hidden("refused: one-two") == "refused: ***"
    assert hidden("refused: one-two", values=False) == "refused: one-two"  # of the text alone


def test_what_the_environment_calls_a_secret_is_hidden(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "not-to-be-seen")
    assert hidden("401 for not-to-be-seen") == "401 for ***"
    monkeypatch.setenv("PWD", "the-folder-of-work")
    monkeypatch.setenv("HF_TOKEN", __file__)  # where the key is, not what it is
    assert hidden(f"the-folder-of-work, {__file__}") == f"the-folder-of-work, {__file__}"


def test_names_have_their_values_where_they_are_used(monkeypatch):
    monkeypatch.setenv("API_KEY", "one-two")
    monkeypatch.delenv("NOT_SET", raising=False)
    words = ["env", "API_KEY=$API_KEY", "x${API_KEY}y", "a $NOT_SET b", "sh", "-c", "echo $API_KEY"]
    assert resolved(words) == ["env", "API_KEY=one-two", "xone-twoy", "a $NOT_SET b", "sh", "-c", "echo $API_KEY"]
    assert hidden("refused: one-two") == "refused: ***"
    raises(ValueError, r"variable NOT_SET must be set, as \$NOT_SET stands", resolved, ["env", "KEY=$NOT_SET"])


def test_commands_are_compared_however_their_values_were_given():
    given = ("env API_KEY=one cmd", "env 'API_KEY=two' cmd", "env API_KEY=$API_KEY cmd", "env 'API_KEY=***' cmd")
    assert {hidden_command(command, references=True) for command in given} == {"env 'API_KEY=***' cmd"}
    assert hidden_command("env API_KEY=one other", references=True) != "env 'API_KEY=***' cmd"


def test_the_current_folder_is_no_password(monkeypatch):
    """A shell has it in PWD: every path in a traceback was hidden."""
    for name in ("PWD", "OLDPWD"):
        monkeypatch.setenv(name, "/data/project")
    assert hidden("/data/project/f.py, line 3") == "/data/project/f.py, line 3"
