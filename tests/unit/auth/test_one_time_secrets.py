"""The secrets of one-time tokens."""

from services.auth.credentials.one_time_tokens import make_secret


def test_a_secret_is_no_option_of_a_command() -> None:
    """Mails show commands that take it: `dits account verify TOKEN`."""
    made = {make_secret() for _ in range(2000)}
    assert len(made) == 2000
    assert {len(secret) for secret in made} == {43}
    assert not [secret for secret in made if secret.startswith("-")]
