"""How usernames and e-mail addresses are folded."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from services.auth.logins import fold_login


@given(st.text())
def test_folding_is_stable(login: str) -> None:
    folded = fold_login(login)
    assert fold_login(folded) == folded


@given(st.text())
def test_spellings_of_one_login_fold_alike(login: str) -> None:
    folded = fold_login(login)
    for spelling in (
        login.casefold(),
        unicodedata.normalize("NFC", login),
        unicodedata.normalize("NFD", login),
    ):
        assert fold_login(spelling) == folded


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_folds_as_the_database_does_it(login: str) -> None:
    assert fold_login(login) == login.lower()
