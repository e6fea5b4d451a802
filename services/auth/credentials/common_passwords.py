"""The commonest passwords of 12 bytes and more, in lower case.

Shorter ones are refused by their length. Besides those written out, the usual words with the usual
digits behind them, and runs of one key or along a row of keys.
"""

_WORDS = (
    "password passw0rd administrator welcome letmein qwerty qwertyuiop iloveyou football baseball "
    "superman starwars princess sunshine trustno1 whatever computer internet changeme default secret "
    "dragon monkey master shadow michael jennifer liverpool chelsea arsenal charlie jordan pokemon"
).split()
_ENDINGS = (
    "1 12 123 1234 12345 123456 1234567 12345678 123456789 1! 123! 1234! 2020 2021 2022 2023 2024 "
    "2025 2026"
).split()
_ROWS = (
    "1234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "abcdefghijklmnopqrstuvwxyz",
    "0987654321",
)
_WRITTEN_OUT = """
1q2w3e4r5t6y 1qaz2wsx3edc 1qaz2wsx3edc4rfv qazwsxedcrfv q1w2e3r4t5y6 zaq12wsxcde3 zaq1zaq1zaq1
qwertyuiop[] qwerty123456 123456qwerty 123qweasdzxc qweasdzxc123 passwordpassword password1password1
administrator correcthorsebatterystaple iloveyouforever ihateyou1234 motherfucker fuckyou12345
thisismypassword mypassword123 letmeinplease letmeinletmein trustnoone123 abcdefghijkl abcd12345678
abc123abc123 abc123456789 a1b2c3d4e5f6 aa1234567890 asdf12345678 asdfasdfasdf asdfghjkl123 qwerqwerqwer
monkeymonkey basketball12 manchesterunited unbelievable chocolate123 butterfly123 elizabeth123
""".split()

COMMON = frozenset(
    {
        *_WRITTEN_OUT,
        *(key * n for key in "0123456789abcdefghijklmnopqrstuvwxyz" for n in range(12, 33)),
        *((row * 3)[:n] for row in _ROWS for n in range(12, 31)),
        *(word + ending for word in _WORDS for ending in _ENDINGS if len(word + ending) >= 12),
        *(word * n for word in _WORDS for n in (2, 3) if len(word * n) >= 12),
    }
)
