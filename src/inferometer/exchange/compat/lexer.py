"""Words and signs of shell script, as POSIX section 2.3 divides it. Nothing is expanded or executed."""

from __future__ import annotations

# A dollar sign that stands in single quotation marks or behind a backslash: no variable begins with it.
LITERAL = "\ue001"
_SIGNS = (
    "<<<", "<<-", "&>>", "&>", "|&", "&&", "||", ";;", ">>", "<<", "<&", ">&", ">|", ";", "&", "|", "<", ">", "(", ")",
)  # fmt: skip


class Sign(str):
    """An operator, which the same characters in quotation marks are not."""

    __slots__ = ()


class Lexer:
    """Takes one line apart, or several of which quotation marks make one."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._words: list[str] = []
        self._word: str | None = None

    def words(self) -> list[str]:
        """Words and signs in their order; what stands between ``$(`` and its ``)`` stays as it is written.

        Raises:
            ValueError: a quotation, a substitution or a last backslash that something has to follow.
        """
        while self._at < len(self._text):
            self._next()
        self._end()
        return self._words

    def _next(self) -> None:
        sign = self._text[self._at]
        if sign.isspace():
            self._at += 1
            self._end()
        elif sign == "#" and self._word is None:
            end = self._text.find("\n", self._at)
            self._at = len(self._text) if end < 0 else end
        elif sign == "\\":
            self._add(self._escaped())
        elif sign == "'":
            self._add(self._upto("'").replace("$", LITERAL))
        elif sign == '"':
            self._at += 1
            self._add(self._quotation())
        elif sign in "$`":
            self._add(self._substitution())
        elif found := next((each for each in _SIGNS if self._text.startswith(each, self._at)), None):
            self._operator(found)
        else:
            tilde = (
                sign == "~"
                and self._word is None
                and self._text[self._at + 1 : self._at + 2] in ("", "/", " ")
            )
            self._add("$HOME" if tilde else sign)
            self._at += 1

    def _add(self, text: str) -> None:
        self._word = (self._word or "") + text

    def _end(self) -> None:
        if self._word is not None:
            self._words.append(self._word)
        self._word = None

    def _operator(self, found: str) -> None:
        if found[0] in "<>" and self._word is not None and self._word.isdecimal():
            self._word = None  # the number of what is redirected
        self._end()
        self._words.append(Sign(found))
        self._at += len(found)

    def _upto(self, closing: str) -> str:
        """What follows up to a sign, which is left behind."""
        end = self._text.index(closing, self._at + 1)
        text = self._text[self._at + 1 : end]
        self._at = end + 1
        return text

    def _escaped(self) -> str:
        if self._at + 1 >= len(self._text):
            raise ValueError("nothing is escaped")
        self._at += 2
        sign = self._text[self._at - 1]
        return {"$": LITERAL, "\n": ""}.get(sign, sign)

    def _quotation(self) -> str:
        text = ""
        while self._at < len(self._text):
            sign = self._text[self._at]
            if sign == '"':
                self._at += 1
                return text
            if sign == "\\" and self._text[self._at + 1 : self._at + 2] in ('"', "\\", "$", "`", "\n"):
                text += self._escaped()
            elif sign in "$`":
                text += self._substitution()
            else:
                text += sign
                self._at += 1
        raise ValueError("no closing quotation")

    def _substitution(self) -> str:
        """A dollar sign, and the command or the sum in parentheses behind it."""
        if self._text[self._at] == "`":
            return f"$({self._upto('`')})"
        if self._text[self._at + 1 : self._at + 2] != "(":
            self._at += 1
            return "$"
        begin, depth = self._at, 0
        self._at += 1
        while self._at < len(self._text):
            sign = self._text[self._at]
            if sign in "'\"":
                self._upto(sign)
                continue
            self._at += 1
            depth += (sign == "(") - (sign == ")")
            if depth == 0:
                return self._text[begin : self._at]
        raise ValueError("no closing parenthesis")


def substitutions(word: str) -> list[str]:
    """A word in pieces: each ``$( )`` in it whole, and what stands between them."""
    pieces: list[str] = []
    begin = depth = 0
    for at, sign in enumerate(word):
        if depth == 0 and word.startswith("$(", at):
            pieces.append(word[begin:at])
            begin, depth = at, 0
        opened = begin < len(word) and word.startswith("$(", begin)
        depth += ((sign == "(") - (sign == ")")) if opened else 0
        if opened and sign == ")" and depth == 0:
            pieces.append(word[begin : at + 1])
            begin = at + 1
    return [piece for piece in (*pieces, word[begin:]) if piece]
