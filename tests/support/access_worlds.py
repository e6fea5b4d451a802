"""Worlds of people, organisations and repositories, and the rule of access as a person would say it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from hypothesis import strategies as st

NO_RIGHT = "none"
RIGHTS = (NO_RIGHT, "read", "write", "admin")
ROLES = ("", "billing", "member", "admin", "owner")
# What an organisation says its members may do; empty = it says nothing.
MEMBER_RIGHTS = ("", *RIGHTS)
VISIBILITIES = ("private", "internal", "public")


@dataclass(frozen=True, slots=True)
class Organization:
    """An organisation with a team for each right; people are numbers."""

    requires_mfa: bool
    member_right: str
    roles: tuple[str, ...]
    teams: tuple[frozenset[int], ...]


@dataclass(frozen=True, slots=True)
class Repo:
    """A repository of an organisation, or of a person if `organization` is None."""

    organization: int | None
    person: int
    visibility: str
    is_deleted: bool
    collaborators: tuple[str, ...]
    team_rights: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class World:
    """Some people, their organisations and repositories.

    Attributes:
        guarded: the people who have a second factor.
    """

    people: int
    guarded: frozenset[int]
    organizations: tuple[Organization, ...]
    repos: tuple[Repo, ...]

    def given(self, person: int, repo: Repo) -> set[str]:
        """Returns the names of the rights on a repository that a person was given and may use."""
        owner = None if repo.organization is None else self.organizations[repo.organization]
        if owner is not None and owner.requires_mfa and person not in self.guarded:
            return set()
        return self.meant(person, repo)

    def meant(self, person: int, repo: Repo) -> set[str]:
        """Returns the names of the rights that a person was given, whether or not they count."""
        rights: set[str] = set()
        if repo.is_deleted:
            return rights
        rights.add(repo.collaborators[person])
        if repo.organization is None:
            if repo.person == person:
                rights.add("admin")
        else:
            organization = self.organizations[repo.organization]
            role = organization.roles[person]
            if role in {"owner", "admin"}:
                rights.add("admin")
            elif role == "member":
                rights.add(organization.member_right or "read")
        for number, right in enumerate(repo.team_rights):
            if person in self.team(repo, number):
                rights.add(right)
        return rights - {NO_RIGHT}

    def team(self, repo: Repo, number: int) -> frozenset[int]:
        """Returns the people of a team; people work with the teams of the first organisation."""
        return self.organizations[repo.organization or 0].teams[number]

    def right(self, person: int | None, repo: Repo) -> str:
        """Returns the name of the highest right, visibility included."""
        if repo.is_deleted:
            return NO_RIGHT
        rights = set() if person is None else self.given(person, repo)
        if repo.visibility == "public" or (repo.visibility == "internal" and person is not None):
            rights.add("read")
        for right in ("admin", "write", "read"):
            if right in rights:
                return right
        return NO_RIGHT


def tabulate() -> World:
    """Returns every case of one person (0) with an organisation's repository; person 1 is a stranger.

    Person 2 is given the same as person 0, and has a second factor.
    """
    organizations = tuple(
        Organization(requires_mfa, right, (role, "", role), (frozenset({0, 2}),))
        for requires_mfa, role, right in itertools.product((False, True), ROLES, MEMBER_RIGHTS)
    )
    repos = tuple(
        Repo(number, 0, visibility, is_deleted, (collaborator, NO_RIGHT, collaborator), (team,))
        for number in range(len(organizations))
        for visibility in VISIBILITIES
        for is_deleted in (False, True)
        for collaborator in RIGHTS
        for team in RIGHTS
    )
    own = tuple(
        Repo(None, person, visibility, is_deleted, (collaborator, NO_RIGHT, collaborator), (team,))
        for person in (0, 1)
        for visibility in VISIBILITIES
        for is_deleted in (False, True)
        for collaborator in RIGHTS
        for team in RIGHTS
    )
    return World(3, frozenset({2}), organizations, repos + own)


PEOPLE, TEAMS = 3, 2
organizations = st.builds(
    Organization,
    st.booleans(),
    st.sampled_from(MEMBER_RIGHTS),
    st.tuples(*[st.sampled_from(ROLES)] * PEOPLE),
    st.tuples(*[st.frozensets(st.integers(0, PEOPLE - 1))] * TEAMS),
)
repos = st.builds(
    Repo,
    st.sampled_from([None, 0, 1]),
    st.integers(0, PEOPLE - 1),
    st.sampled_from(VISIBILITIES),
    st.sampled_from([False, False, False, True]),
    st.tuples(*[st.sampled_from(RIGHTS)] * PEOPLE),
    st.tuples(*[st.sampled_from(RIGHTS)] * TEAMS),
)
worlds = st.builds(
    World,
    st.just(PEOPLE),
    st.frozensets(st.integers(0, PEOPLE - 1)),
    st.tuples(organizations, organizations),
    st.lists(repos, min_size=1, max_size=6).map(tuple),
)
