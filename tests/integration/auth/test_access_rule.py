"""The rule of access, for every case and for small worlds, against the same rule in other words."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any
from uuid import UUID, uuid4

from hypothesis import HealthCheck, given, settings

from services.auth.access import accessible_repositories, repository_users
from tests.integration.schema.rows import Connection, connected
from tests.support.access_worlds import (
    NO_RIGHT,
    RIGHTS,
    Organization,
    Repo,
    World,
    tabulate,
    worlds,
)


class Tables:
    """The rows of a world, to be stored at once."""

    def __init__(self, world: World) -> None:
        self.people = [uuid4() for _ in range(world.people)]
        self.organizations = [uuid4() for _ in world.organizations]
        self.repos = [uuid4() for _ in world.repos]
        self._world = world
        self._rows: dict[str, list[tuple[Any, ...]]] = defaultdict(list)

    async def store(self, connection: Connection) -> None:
        """Stores all rows."""
        for number, person in enumerate(self.people):
            self._add("users (id, username, email, name, status, mfa_enabled)", person,
                      f"p{number}x", f"p{number}@example.org", "P", "active",
                      number in self._world.guarded)  # fmt: skip
        for number, organization in enumerate(self._world.organizations):
            self._add_organization(number, organization)
        for number, repo in enumerate(self._world.repos):
            self._add_repo(number, repo)
        for table, rows in self._rows.items():
            places = ", ".join(f"${n}" for n in range(1, len(rows[0]) + 1))
            await connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
        await connection.execute(
            "UPDATE repositories SET deleted_at = now() WHERE description = 'gone'"
        )

    def _add(self, table: str, *row: Any) -> None:
        self._rows[table].append(row)

    def _add_organization(self, number: int, organization: Organization) -> None:
        key = self.organizations[number]
        chosen = organization.member_right
        text = json.dumps(
            ({"member_permission": chosen} if chosen else {})
            | ({"require_mfa": True} if organization.requires_mfa else {})
        )
        self._add("organizations (id, name, display_name, settings)", key, f"o{number}x", "O", text)
        for person, role in zip(self.people, organization.roles, strict=True):
            if role:
                self._add("organization_members (org_id, user_id, role)", key, person, role)
        for team, members in enumerate(organization.teams):
            self._add("teams (id, org_id, name)", self._team(number, team), key, f"t{team}")
            for place in members:
                table = "team_members (team_id, user_id)"
                self._add(table, self._team(number, team), self.people[place])

    def _add_repo(self, number: int, repo: Repo) -> None:
        owner = ("user", self.people[repo.person])
        if repo.organization is not None:
            owner = ("organization", self.organizations[repo.organization])
        self._add(
            "repositories (id, name, owner_type, owner_id, visibility, description, storage_bucket,"
            " storage_region)",
            self.repos[number], f"r{number}", *owner, repo.visibility,
            "gone" if repo.is_deleted else None, "b", "local",
        )  # fmt: skip
        for person, right in zip(self.people, repo.collaborators, strict=True):
            if right != NO_RIGHT:
                self._add(
                    "repository_collaborators (repo_id, user_id, permission)",
                    self.repos[number],
                    person,
                    right,
                )
        for place, right in enumerate(repo.team_rights):
            if right != NO_RIGHT:
                team = self._team(repo.organization or 0, place)
                self._add(
                    "team_repositories (team_id, repo_id, permission)",
                    team,
                    self.repos[number],
                    right,
                )

    def _team(self, organization: int, team: int) -> UUID:
        return UUID(int=self.organizations[organization].int ^ (team + 1))


async def compare(connection: Connection, world: World) -> None:
    """Asserts that the database decides and lists as the rule says."""
    tables = Tables(world)
    await tables.store(connection)
    for person, key in [(None, None), *enumerate(tables.people)]:
        rows = await connection.fetch("SELECT * FROM repository_permissions($1)", key)
        found = {row["repo_id"]: RIGHTS[row["level"]] for row in rows}
        rule = {k: world.right(person, r) for k, r in zip(tables.repos, world.repos, strict=True)}
        assert {k: found.get(k, NO_RIGHT) for k in rule} == rule
        if person is not None:
            await compare_withheld(connection, world, tables, person)
    given = {
        (person, repo): rights
        for person in range(world.people)
        for repo, each in enumerate(world.repos)
        if (rights := world.given(person, each))
    }
    assert await list_by_person(connection, tables) == given
    assert await list_by_repo(connection, tables) == given


async def compare_withheld(
    connection: Connection, world: World, tables: Tables, person: int
) -> None:
    """Asserts that what does not count for want of a second factor is what the rule says."""
    rows = await connection.fetch(
        "SELECT id, withheld_permission($1, id) AS level FROM repositories", tables.people[person]
    )
    expected = {}
    for key, repo in zip(tables.repos, world.repos, strict=True):
        lost = world.meant(person, repo) - world.given(person, repo)
        expected[key] = max([RIGHTS.index(right) for right in lost], default=0)
    assert {row["id"]: row["level"] for row in rows} == expected


Listed = dict[tuple[int, int], set[str]]


async def list_by_person(connection: Connection, tables: Tables) -> Listed:
    """Returns who was given which rights on what, page by page, as ListAccessibleRepositories reads it."""
    listed: Listed = {}
    for person, key in enumerate(tables.people):
        after = ("", "")
        bind = accessible_repositories.Q.bind.list_repositories
        size = max(2, len(tables.repos) // 4)
        while rows := await connection.fetch(
            *bind(user_id=key, refused_by=[], after_owner=after[0], after=after[1], count=size)
        ):
            for row in rows:
                place = person, tables.repos.index(row["id"])
                assert place not in listed
                listed[place] = read_levels(row)
            after = (rows[-1]["owner"].lower(), rows[-1]["name"].lower())
    return listed


async def list_by_repo(connection: Connection, tables: Tables) -> Listed:
    """Returns the same as ListRepositoryUsers reads it."""
    listed: Listed = {}
    for repo, key in enumerate(tables.repos):
        after = ""
        while rows := await connection.fetch(repository_users.Q.list_users, key, after, 2):
            for row in rows:
                listed[tables.people.index(row["id"]), repo] = read_levels(row)
            after = rows[-1]["username"].lower()
    return listed


def read_levels(row: Any) -> set[str]:
    """Returns the rights of all grants of a row."""
    levels = [grant["level"] for grant in json.loads(row["grants"])]
    assert row["level"] == max(levels) == levels[0]
    return {RIGHTS[level] for level in levels}


async def test_every_case_of_a_user_and_a_repository(dsn: str) -> None:
    async with connected(dsn) as connection:
        await compare(connection, tabulate())


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(world=worlds)
async def test_small_worlds(dsn: str, world: World) -> None:
    async with connected(dsn) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await compare(connection, world)
        await transaction.rollback()
