"""What must not be written down: values of environment variables, of headers, of credentials in addresses.

The one place that knows them. Whatever writes a file, a page, a record or a message that others may see passes its
texts through `hidden`, or its command lines through `hidden_words`. A value is best not given at all: ``$NAME`` in its
place is written down as it is and has its value from the environment where it is used, by `resolved`.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

MARK = "***"
_SHORTEST = 6  # characters of a value that is hidden wherever it turns up; chosen: shorter ones are words of their own
_SHORTEST_OF_OTHERS = 8  # the same of variables that nobody named in a command; chosen

_WORDS = {
    *("apikey", "auth", "authorization", "bearer", "cookie", "credential", "credentials", "passphrase", "passwd"),
    *("password", "secret", "secrets", "token"),
}
_OF_KEYS = {"access", "account", "api", "auth", "client", "private", "secret", "service", "signing", "subscription"}
_REFERENCE = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))")
_ONLY_REFERENCES = re.compile(r"(?:Bearer |Basic |Token |Key )?(?:(?:\$\{\w+\}|\$[A-Za-z_]\w*)[:@]?)+")
_ASSIGNED = re.compile(r"(-{0,2})([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)
_VALUE = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|(?:(?:Bearer|Basic|Token|Digest)\s+)?[^\s\"',;&)}\]]+")
_NAME = re.compile(r"(?<![\w$])(?P<q>[\"']?)(?P<name>[A-Za-z_][\w.-]*)(?P=q)(?P<sep>\s*=(?!=)\s*|:\s*)")
_HEADER = re.compile(r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)(:\s*)([^\r\n\"']+)")
_ADDRESS = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*://)([^/\s@\"'<>]+)@")
_QUERY = re.compile(r"(?i)([?&](?:key|sig|signature|code)=)([^\s&\"'<>]+)")
# Of a command as Python shows a list, and in a line where the value has a digit, which prose after an option has not.
_OPTION = re.compile(r"(?<![\w-])(--?[A-Za-z][\w-]*)(['\"], ['\"](?=[^-])|\s+(?=[^\s\d-]*\d))([^\s'\"]+)")
_BEARER = re.compile(r"\b(Bearer\s+)([\w.~+/=-]{8,})")
_FORMS = re.compile(  # of keys that several services give out
    r"\b(?:sk-[\w-]{16,}|gh[pousr]_\w{20,}|hf_\w{20,}|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+)"
)
_HEADERS, _USERS, _OF_ENV = ("-H", "--header", "--proxy-header"), ("-u", "--user"), ("-u", "--unset", "-C", "--chdir")
_GLUED = re.compile(r"(--(?:proxy-)?header=|--user=|-H|-u)(.+)", re.DOTALL)  # as curl takes them too
_SHORT_OPTIONS = {"key", "pass", "pw", "pwd", "jwt"}  # which are words of their own where no dash is before them
_USER = re.compile(r"[^:/\s]+:\S+")
_EMPTY = {"", "None", "True", "False", "null", "true", "false", MARK}
_known: set[str] = set()


def hidden(text: str, *, values: bool = True) -> str:
    """Return a text without the secrets in it, ``***`` in their place.

    Parameters
    ----------
    text : str
    values : bool
        Whether to hide values that are known as well, wherever they turn up: those that commands were given, and those
        of the environment variables whose names say so (such as ``API_KEY``). Without, the result depends on the
        text alone, as it must where it is compared with that of another run.

    Returns
    -------
    str
        The text itself where it holds none. ``$NAME`` stays as it is.

    Examples
    --------
    >>> hidden("POST https://me:word@host/v1?api_key=a1b2c3, Authorization: Bearer a1b2c3d4")
    'POST https://***@host/v1?api_key=***, Authorization: ***'
    """
    for pattern in (_ADDRESS, _QUERY):
        text = pattern.sub(lambda m: m[0] if _is_reference(m[2]) else m[0].replace(m[2], MARK), text)
    text = _HEADER.sub(lambda m: m[0] if _is_reference(m[3]) else f"{m[1]}{m[2]}{MARK}", text)
    text = _without_named(text)
    text = _OPTION.sub(
        lambda m: f"{m[1]}{m[2]}{MARK}" if _is_secret_option(m[1]) and not _is_reference(m[3]) else m[0], text
    )
    text = _BEARER.sub(rf"\1{MARK}", text)
    text = _FORMS.sub(MARK, text)
    if values:
        for value in sorted(_values(), key=len, reverse=True):
            text = text.replace(value, MARK)
    return text


def hidden_in(tree: Any, *, values: bool = True) -> Any:
    """Return what JSON can hold with all its texts `hidden`, and those under the name of a secret left out whole."""
    if isinstance(tree, str):
        return hidden(tree, values=values)
    if isinstance(tree, Mapping):
        return {name: _hidden_under(str(name), value, values) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [hidden_in(item, values=values) for item in tree]
    return tree


def hidden_words(words: Sequence[str], *, references: bool = False) -> list[str]:
    """Return the words of a command without the values of variables, headers and secret options in it.

    Of variables all values are hidden: after ``env``, and wherever the name is in capitals. What is hidden is known
    from now on.

    Parameters
    ----------
    words : sequence of str
        A word may be a command itself, as ``"process:env NAME=value program"`` or the script of a shell.
    references : bool
        Whether to hide ``$NAME`` too, to compare commands however their values were given.
    """
    found: list[str] = []
    variables, before = False, ""  # whether variables of `env` may follow
    for word in words:
        assigned = None if before == "-c" else _ASSIGNED.fullmatch(word)
        glued = _GLUED.fullmatch(word)
        if (known := _hidden_after(before, word, references)) is not None:
            shown = known
        elif glued and (known := _hidden_after(glued[1].rstrip("="), glued[2], references)) is not None:
            shown = glued[1] + known
        elif _is_secret_option(before) and word[:1] != "-":
            shown = _hidden_value(word, references)
        elif assigned and (
            _is_secret_option(assigned[1] + assigned[2])
            or says_secret(assigned[2])
            or (not assigned[1] and (variables or _in_capitals(assigned[2])))
        ):
            shown = f"{assigned[1]}{assigned[2]}={_hidden_value(assigned[3], references)}"
        elif re.search(r"\s", word):
            shown = hidden_command(word, references=references)
            shown = hidden(word, values=False) if shown == word else shown  # no command, such as JSON
        else:
            shown = hidden(word, values=False)
        found.append(shown)
        variables = os.path.basename(word) == "env" or (
            variables and (assigned is not None or word[:1] == "-" or before in _OF_ENV)
        )
        before = word
    return found


def hidden_command(text: str, *, references: bool = False) -> str:
    """Return a command line as `hidden_words` of its words, or the text itself if it holds no secret."""
    head, colon, rest = text.partition(":")
    if not (colon and re.fullmatch(r"[a-z][\w-]*", head) and not rest.startswith(("//", " "))):  # process:...
        head, colon, rest = "", "", text
    try:
        words = shlex.split(rest)
    except ValueError:  # a quote that is not closed, as in prose
        words = rest.split()
    shown = (
        hidden_words(words, references=references) if len(words) > 1 else [hidden(word, values=False) for word in words]
    )
    return text if shown == words else f"{head}{colon}{shlex.join(shown)}"


def resolved(words: Iterable[str]) -> list[str]:
    """Return words of a command with the values of the environment for ``$NAME`` and ``${NAME}``; they are known then.

    The word after ``-c`` is a script, and left to the shell that runs it; so is what is not set, unless it is all of a
    word, or of what is assigned by it.

    Raises
    ------
    ValueError
        If that variable is not set.
    """
    found: list[str] = []
    before = ""
    for word in words:
        found.append(word if before == "-c" else _REFERENCE.sub(lambda m: _of_environment(m, word), word))  # noqa: B023
        before = word
    return found


def filled(text: str) -> str:
    """Return a text with the values of the environment for all ``$NAME`` and ``${NAME}``; they are known then.

    Raises
    ------
    ValueError
        If a variable is not set.
    """
    for match in _REFERENCE.finditer(text):
        if (name := match[1] or match[2]) not in os.environ:
            raise ValueError(f"the environment variable {name} must be set, as {match[0]} stands for its value")
    return _REFERENCE.sub(lambda match: _of_environment(match, text), text)


def remember(value: str) -> None:
    """Have a value hidden wherever it turns up from now on, unless it is too short or names a file that is there."""
    if len(value) >= _SHORTEST and value != MARK and not os.path.exists(value):
        _known.add(value)


def literal_secret(text: str) -> str:
    """Return the first line of a text, hidden, in which a secret stands itself; "" if there is none."""
    return next((shown.strip() for line in text.splitlines() if (shown := hidden(line, values=False)) != line), "")


def references(text: str) -> list[str]:
    """Return the names of the variables that a text refers to, as ``$NAME`` or ``${NAME}``."""
    return [match[1] or match[2] for match in _REFERENCE.finditer(text)]


def _of_environment(match: re.Match[str], word: str) -> str:
    name = match[1] or match[2]
    if name in os.environ:
        remember(os.environ[name])
        return os.environ[name]
    if word.rpartition("=")[2] == match[0]:
        raise ValueError(f"the environment variable {name} must be set, as {match[0]} stands for its value")
    return match[0]


def _without_named(text: str) -> str:
    """The text without the values of ``name=value``, ``"name": "value"`` and ``X-Api-Key: value``."""
    parts, done, at = [], 0, 0
    while found := _NAME.search(text, at):
        at = found.end()
        plain = ":" in found["sep"] and not found["q"] and not re.search("[-_]", found["name"])  # prose
        value = None if plain or not says_secret(found["name"]) else _VALUE.match(text, at)
        if value is None:
            continue
        quote = value[0][0] if value[0][0] in "\"'" else ""
        inside = value[0].strip(quote) if quote else value[0]
        if inside not in _EMPTY and not _is_reference(inside):
            parts += [text[done:at], quote, MARK, quote]
            done = value.end()
        at = value.end()
    return "".join([*parts, text[done:]])


def _hidden_under(name: str, value: Any, values: bool) -> Any:
    if isinstance(value, str) and says_secret(name) and value not in _EMPTY and not _is_reference(value):
        return MARK
    return hidden_in(value, values=values)


def _hidden_after(option: str, word: str, references: bool) -> str | None:
    """The word after an option for headers or users, hidden; None after another one."""
    if option in _HEADERS and ":" in word:
        head, _, value = word.partition(":")
        return f"{head}: {_hidden_value(value.strip(), references)}"
    return _hidden_value(word, references) if option in _USERS and _USER.fullmatch(word) else None


def _hidden_value(value: str, references: bool) -> str:
    if _is_reference(value) and not references:
        return value
    if not _is_reference(value):
        remember(value)
    return MARK if value else value


def _values() -> set[str]:
    """The values that are known, and those of the environment's secrets; a file that holds one is none."""
    others = {value for name, value in os.environ.items() if len(value) >= _SHORTEST_OF_OTHERS and says_secret(name)}
    return _known.union(value for value in others if not os.path.exists(value))


def _is_reference(value: str) -> bool:
    return bool(_ONLY_REFERENCES.fullmatch(value))


def _is_secret_option(word: str) -> bool:
    if not word.startswith("-") or "=" in word or re.search(r"\s", word):
        return False
    return word.lstrip("-").lower() in _SHORT_OPTIONS or says_secret(word)


def _in_capitals(name: str) -> bool:
    return len(name) > 1 and name == name.upper()


@lru_cache(maxsize=4096)
def says_secret(name: str) -> bool:
    """Whether a name is that of a secret: API_KEY, x-api-key, accessToken, --password."""
    parts = [part.lower() for part in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+", name)]
    if not parts:
        return False
    key = parts[-1] in ("key", "keys") and len(parts) > 1 and (_in_capitals(name) or parts[-2] in _OF_KEYS)
    return key or not _WORDS.isdisjoint(parts) or "pwd" in parts[1:]  # PWD alone is a folder
